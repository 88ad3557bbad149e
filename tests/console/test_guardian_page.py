"""Headless Chromium answers a guardian's link on a 320 px wide screen: large type, no violation of WCAG 2.2 AA in light and dark, the
whole way by keyboard, and without scripts.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import async_playwright, expect

from tests.contract.api_house import api_house
from tests.contract.test_guardian_link import handed_over

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.anyio]

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NARROW = 320
LARGE_PX = 20


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def walls(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture(scope="module")
async def address(walls):
    """Where the application really listens; its house is open already."""
    server = uvicorn.Server(uvicorn.Config(walls.app, port=0, access_log=False, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done()
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/guardian/"
    server.should_exit = True
    await running


@pytest.fixture(scope="module")
async def engine(chromium):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def school(walls):
    walls.settle()
    return walls.caller("sc", "T0417", "school_psychologist")


@asynccontextmanager
async def phone(engine, *, scheme="light", scripts=True):
    """A narrow telephone's browser; nothing may be complained of."""
    size = {"width": NARROW, "height": 640}
    context = await engine.new_context(
        viewport=size, color_scheme=scheme, java_script_enabled=scripts, reduced_motion="reduce"
    )
    page = await context.new_page()
    page.set_default_timeout(15_000)
    complaints = []
    # A page that is answered with 4xx is named by the browser itself; everything else is ours.
    page.on("console", lambda said: complaints.append(said.text) if "status of 4" not in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
    await context.close()


async def violations(page):
    """What axe finds against WCAG 2.2 AA, by the debugger, so the page's policy stays strict."""
    run = (
        f";axe.run(document, {{resultTypes: ['violations'], runOnly: {json.dumps(STANDARDS)}}})"
        ".then((found) => JSON.stringify(found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)])))"
    )
    debugger = await page.context.new_cdp_session(page)
    asked = {"expression": AXE.read_text("utf-8") + run, "awaitPromise": True, "returnByValue": True}
    answer = await debugger.send("Runtime.evaluate", asked)
    await debugger.detach()
    return json.loads(answer["result"]["value"])


async def require_usable(page):
    """Readable and reachable: no violation, one heading, nothing to the right of the screen, large type, large targets."""
    assert await violations(page) == []
    assert await page.locator("h1").count() == 1
    assert await page.evaluate("document.documentElement.scrollWidth") <= NARROW
    sizes = await page.evaluate(
        "[...document.querySelectorAll('main p, main li, main label, main button, main input[type=text]')]"
        ".filter((each) => each.offsetHeight).map((each) => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(sizes) >= LARGE_PX, sizes
    for box in [await each.bounding_box() for each in await page.locator("main button, main .choice").all()]:
        assert box["height"] >= 44 and box["width"] >= 44


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_usable_at_320_px_and_the_code_leaves_the_address(walls, engine, address, school, scheme):
    made = await handed_over(school, walls.child())
    async with phone(engine, scheme=scheme) as page:
        await page.goto(f"{address}#{made['code']}")
        await expect(page.locator("#code")).to_have_value(made["code"])
        assert page.url == address
        await require_usable(page)
        await page.get_by_role("button", name="继续").click()
        assert page.url == address
        await expect(page.locator("h1")).to_have_text("您同意共享这些信息吗？")
        await require_usable(page)
        await page.locator("button", has_text="不同意").scroll_into_view_if_needed()
        await page.get_by_role("button", name="同意", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("请先选择孩子自己的意见")
        await require_usable(page)
        await page.click("text=问过了，孩子愿意")
        await page.get_by_role("button", name="同意", exact=True).click()
        await expect(page.locator("h1")).to_have_text("已经记录：同意")
        assert page.url == f"{address}answer"
        await require_usable(page)
        await page.goto(f"{address}#{made['code']}")
        await page.get_by_role("button", name="继续").click()
        await expect(page.get_by_role("alert")).to_contain_text("已经用过了")
        await require_usable(page)


async def test_the_english_page_is_usable_too_and_takes_the_code_along(walls, engine, address, school):
    made = await handed_over(school, walls.child())
    async with phone(engine) as page:
        await page.goto(f"{address}#{made['code']}")
        await page.get_by_role("link", name="English").click()
        await expect(page.locator("h1")).to_have_text("Your decision is asked for")
        await expect(page.locator("#code")).to_have_value(made["code"])
        assert "#" not in page.url
        await require_usable(page)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("h1")).to_have_text("Do you agree to sharing this information?")
        await require_usable(page)
        await page.get_by_role("button", name="中文").click()
        await expect(page.locator("h1")).to_have_text("您同意共享这些信息吗？")
        await page.get_by_role("button", name="English").click()
        await page.get_by_role("button", name="Refuse").click()
        await expect(page.locator("h1")).to_have_text("Recorded: refused")
        await require_usable(page)


async def test_by_keyboard_alone_and_without_scripts_a_guardian_can_refuse(walls, engine, address, school):
    made = await handed_over(school, walls.child())
    async with phone(engine, scripts=False) as page:
        await page.goto(address)
        await page.keyboard.press("Tab")
        await page.keyboard.type(made["code"].upper())
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("您同意共享这些信息吗？")
        for _ in range(12):
            await page.keyboard.press("Tab")
            if await page.locator("button:focus", has_text="不同意").count():
                break
        assert await page.locator("button:focus", has_text="不同意").count() == 1
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("已经记录：不同意")


async def test_what_is_planted_is_found(walls, engine, address):
    async with phone(engine) as page:
        await page.goto(address)
        await page.evaluate("document.querySelector('label').remove()")
        await page.evaluate("document.querySelector('.hint').style.setProperty('color', '#ccc')")
        assert {"color-contrast", "label"} <= {name for name, _ in await violations(page)}
        await page.evaluate("document.querySelector('h1').style.setProperty('width', '30rem')")
        with pytest.raises(AssertionError):
            await require_usable(page)
