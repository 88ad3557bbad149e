"""Invented names: ordinary ones, compound surnames, and transliterated names with a middle dot.

Rules kept here: each part is common by itself and stands for nobody; names with four or more Han characters are the canaries
that leak tests look for, because shorter ones occur by chance in any Chinese text.
"""

from __future__ import annotations

from random import Random

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
_COMPOUND = ("欧阳", "司徒", "上官", "诸葛", "夏侯", "尉迟", "皇甫", "慕容")
_GIRLS = "欣怡梓涵诗雨佳宁语桐若曦思琪可馨雅静芷晴清妍"
_BOYS = "浩宇子轩明哲俊杰嘉豪天佑博文泽楷一鸣思远景行"
_ADULTS = "建国秀英志强桂兰海燕永健丽华晓东春梅卫平"
_RARE = "㛃䶮𬱖𫖯喆垚翀"
_DOTTED = (
    ("阿卜杜热合曼", "05"), ("古丽米热", "05"), ("买买提江", "05"), ("帕提古丽", "05"), ("玉素甫江", "05"),
    ("叶尔扎提", "17"), ("加娜古丽", "17"), ("别克波拉提", "17"), ("达瓦卓玛", "04"), ("扎西多吉", "04"),
)  # fmt: skip


def surname(random: Random) -> str:
    """A family's surname; one in twenty-five is a compound one."""
    return random.choice(_COMPOUND) if random.random() < 0.04 else random.choice(_SURNAMES)


def given(random: Random, sex: str) -> str:
    """A given name of one or two characters; one in a hundred holds a rare (GB 18030-2022) character."""
    pool = _GIRLS if sex == "2" else _BOYS
    if random.random() < 0.01:
        return random.choice(_RARE) + random.choice(pool)
    return "".join(random.choice(pool) for _ in range(1 if random.random() < 0.12 else 2))


def adult(random: Random, family: str) -> str:
    """A grown-up's name under a family's surname."""
    return family + "".join(random.choice(_ADULTS) for _ in range(2))


def dotted(random: Random, family: str) -> str:
    """A transliterated name, `given·family`."""
    return f"{random.choice(_DOTTED)[0]}·{family}"


def dotted_family(random: Random) -> tuple[str, str]:
    """(patronym, ethnic group by GB/T 3304: 04 藏, 05 维吾尔, 17 哈萨克)."""
    return random.choice(_DOTTED)


def han_characters(name: str) -> int:
    """How many Han characters a name has; the dot does not count."""
    return sum(1 for c in name if c != "·")


def mistyped(random: Random, name: str) -> str:
    """The same name as a clerk might mistype it: a dot of the wrong kind, or one character replaced."""
    if "·" in name:
        return name.replace("·", random.choice(("•", ".", " ")))
    place = random.randrange(1, len(name)) if len(name) > 1 else 0
    other = random.choice([c for c in _GIRLS + _BOYS if c != name[place]])
    return name[:place] + other + name[place + 1 :]
