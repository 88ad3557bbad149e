"""What a guardian reads where something cannot be done: plain words, and whom to ask."""

from __future__ import annotations

_ASK = "请联系把这张单子交给您的工作人员。"
_GENERAL = f"现在办不了。{_ASK}"
_SENTENCES = {
    "link_unknown": "没有找到这个编码。请对照单子再核对一遍，字母和数字都要一样。",
    "link_used": f"这个编码已经用过了，每个编码只能答复一次。如果不是您本人答复的，{_ASK}",
    "link_ended": f"这个编码已经过期。需要继续办理的，{_ASK}",
    "link_cancelled": f"工作人员已经收回了这个编码。{_ASK}",
    "consent_asked_again": "这件事最近90天内已经表示过不同意，不需要再答复。",
    "rate_limited": "试的次数太多了，请过一分钟再试。",
    "audit_unavailable": "系统正在维护，您的答复没有记录。请稍后再试。",
    "store_unavailable": "系统正在维护，您的答复没有记录。请稍后再试。",
}
_ASK_IN_ENGLISH = "Please ask the worker who gave you this paper."
_GENERAL_IN_ENGLISH = f"This cannot be done now. {_ASK_IN_ENGLISH}"
_IN_ENGLISH = {
    "link_unknown": "This code was not found. Compare it with your paper once more: every letter and digit counts.",
    "link_used": "This code was used already; each code is answered once. If it was not you, please ask the worker who gave you this paper.",
    "link_ended": "This code has run out. To go on, please ask the worker who gave you this paper.",
    "link_cancelled": f"The worker has taken this code back. {_ASK_IN_ENGLISH}",
    "consent_asked_again": "This was refused within the last 90 days, so no answer is needed.",
    "rate_limited": "Too many tries. Please wait a minute.",
    "audit_unavailable": "The system is being worked on and your answer was not recorded. Please try again later.",
    "store_unavailable": "The system is being worked on and your answer was not recorded. Please try again later.",
}


def sentence(code: str, language: str) -> str:
    """The sentence of a code; a general one where a guardian could do nothing with the difference. language: `zh` or `en`."""
    if language == "en":
        return _IN_ENGLISH.get(code, _GENERAL_IN_ENGLISH)
    return _SENTENCES.get(code, _GENERAL)
