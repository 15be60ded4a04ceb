"""One person: the form, the answer, the link, the comparison, the explanation."""

import json
import re

import pytest

from drugpred.schemas import Profile
from tests.web.people import EXAMPLE, percent, ranked, shown, wait_for

pytestmark = pytest.mark.slow


def test_the_first_answer_is_of_the_form_as_it_stands(page, api):
    wait_for(page, ranked(api, EXAMPLE))
    assert len(shown(page)) == 18
    assert page.locator("#risks li.barely").count() >= 3
    assert page.locator("#simulated").is_hidden()
    cautions = page.locator(".cautions")
    assert re.search("one online survey .* not the risk of a person", cautions.inner_text())
    assert re.search("diagnosis, employment, insurance, schooling or policing", cautions.inner_text())
    cautions.locator("summary").click()
    assert re.search("Friends recruited friends", cautions.inner_text())
    assert page.locator(".cautions").bounding_box()["y"] < 900


def asked_of(predictions):
    """Return a handler that records requests."""
    return lambda route: (predictions.append(route.request.post_data_json), route.continue_())


def test_the_first_question_waits_for_no_module(open_page):
    asked = []
    nothing = {"body": "", "content_type": "text/javascript"}
    open_page(
        routes={"**/main.js": lambda route: route.fulfill(**nothing), "**/predict": asked_of(asked)}, wait=False
    ).wait_for_load_state("networkidle")
    assert asked == [{**EXAMPLE, "window": "decade", "include": ["windows", "interval", "support"]}]


@pytest.mark.parametrize(("fragment", "age"), [("", 30), ("#age=60", 60)])
def test_the_first_question_is_asked_once(open_page, fragment, age):
    asked = []
    page = open_page(fragment, routes={"**/predict": asked_of(asked)})
    page.wait_for_selector("#score-charts svg")  # the last that is drawn
    assert [profile["age"] for profile in asked] == [age]


def test_the_form_is_filled_by_keyboard_alone(page, api):
    press = page.keyboard.press
    for _ in range(60):
        press("Tab")
        if page.evaluate("document.activeElement.id") == "age":
            break
    page.keyboard.type("52")
    press("Tab")
    page.keyboard.type("Male")
    press("Tab")
    page.keyboard.type("Master")
    press("Tab")
    page.keyboard.type("United S")
    press("Tab")
    press("Tab")  # past ethnicity, to the choice of scale
    press("Tab")
    assert page.evaluate("document.activeElement.id") == "neuroticism"
    press("End")
    press("Tab")
    press("Home")
    press("Tab")
    for _ in range(4):
        press("ArrowRight")
    told = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
    assert re.fullmatch(r"higher than 5\d% of the sample \(0\.20\)", told)
    person = {**EXAMPLE, "age": 52, "gender": "Male", "education": "Masters degree", "country": "USA"}
    bounds = {"neuroticism": 3.27393, "extraversion": -3.27393, "openness": 0.2}
    wait_for(page, ranked(api, {**person, **bounds}))
    for _ in range(60):
        press("Tab")
        if page.evaluate("document.activeElement.name") == "window":
            break
    press("ArrowRight")
    wait_for(page, ranked(api, {**person, **bounds}, window="year"))


def test_while_a_slider_moves_the_answer_follows_one_request_at_a_time(page, api):
    in_flight, most = [0], [0]

    def begin(request):
        in_flight[0] += request.url.endswith("/predict")
        most[0] = max(most[0], in_flight[0])

    page.on("request", begin)
    page.on(
        "requestfinished", lambda request: in_flight.__setitem__(0, in_flight[0] - request.url.endswith("/predict"))
    )
    slider = page.locator("#sensation_seeking")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for i in range(30):
        page.mouse.move(box["x"] + box["width"] * (0.5 + i / 60), box["y"] + box["height"] / 2)
    page.mouse.up()
    value = min(1.92173, float(slider.input_value()))
    assert value > 1.5
    wait_for(page, ranked(api, {**EXAMPLE, "sensation_seeking": value}))
    assert most[0] == 1


def test_invalid_input_is_shown_next_to_the_field_and_not_sent(page, api):
    asked = []
    page.wait_for_load_state("networkidle")  # the last modules are loaded after the first answer
    page.on("request", lambda request: asked.append(request.url))
    for wrong in ("17", "121", "30.5", ""):
        page.locator("#age").fill(wrong)
        assert page.locator("#age-problem").inner_text() == "Expected: a whole number of years from 18 to 120."
        assert page.locator("#age").get_attribute("aria-invalid") == "true"
        assert page.locator("#problem").inner_text() == "Waiting for: Age in years."
    assert asked == []
    page.locator("#age").fill("18")
    assert page.locator("#age-problem").inner_text() == ""
    wait_for(page, ranked(api, {**EXAMPLE, "age": 18}))
    assert page.locator("#problem").inner_text() == ""


def test_raw_totals_go_as_raw_totals(page, api):
    page.get_by_role("radio", name="NEO-FFI-R totals").check()
    assert page.locator("#neuroticism").is_hidden()
    assert page.locator("#impulsivity").is_visible()
    totals = {"neuroticism": 45, "extraversion": 30, "openness": 25, "agreeableness": 20, "conscientiousness": 58}
    page.locator("#openness-total").fill("61")
    assert page.locator("#openness-total-problem").inner_text() == "Expected: a whole number from 12 to 60."
    for name, total in totals.items():
        page.locator(f"#{name}-total").fill(str(total))
    raw = {**EXAMPLE, **totals, "scale": "raw"}
    wait_for(page, ranked(api, raw))
    page.get_by_role("radio", name="Sliders").check()
    standardized = Profile.model_validate(raw).row()
    names = list(EXAMPLE)[1:]
    wait_for(page, ranked(api, {**raw, **dict(zip(names[5:], standardized[5:], strict=True)), "scale": "standardized"}))


def test_examples_are_profiles(page, api):
    for button in page.locator("#examples button").all():
        with page.expect_request("**/predict") as sent:
            button.click()
        profile = json.loads(sent.value.post_data)
        assert profile.pop("include") == ["windows", "interval", "support"]
        wait_for(page, ranked(api, profile))


def test_a_link_restores_the_form_and_no_server_sees_its_fragment(open_page, api):
    page = open_page()
    page.get_by_role("button", name="Thrill seeker").click()
    page.get_by_role("radio", name="Month").check()
    page.get_by_role("button", name="Keep these answers").click()
    # Both the new and the kept answers are asked for.
    with page.expect_request(lambda asked: "_batch" in asked.url and '"age":60' in asked.post_data) as sent:
        page.locator("#age").fill("60")
    page.get_by_role("button", name="Copy a link").click()
    page.wait_for_function("() => document.querySelector('#link').value.includes('#')")
    link = page.locator("#link").input_value()
    assert "age=60" in link.partition("#")[2]
    profile, _ = json.loads(sent.value.post_data)["profiles"]
    del profile["include"]
    asked = []
    other = open_page(
        "#" + link.partition("#")[2], routes={"**": lambda route: (asked.append(route.request.url), route.continue_())}
    )
    assert other.locator("#age").input_value() == "60"
    wait_for(other, ranked(api, profile))
    assert other.locator("#changes").inner_text() == "Age in years: 26 → 60"
    assert asked
    assert not [url for url in asked if "age=" in url]


@pytest.mark.parametrize(
    "fragment",
    [
        "#age=17&gender=<img src=x onerror=alert(1)>&openness=NaN&country=__proto__&window=constructor&scale=raw",
        "#age=1e999&neuroticism=Infinity&before.age=x&%ff=%zz&scale=__proto__",
        "#age=" + "9" * 5000,
    ],
)
def test_an_invalid_link_leaves_default_values(open_page, api, fragment):
    page = open_page(fragment)
    problems = page.locator("#notice li").all_inner_texts()
    assert "Age in years: Expected: a whole number of years from 18 to 120." in problems
    assert problems[-1].startswith("Not in the link: ")
    assert "Country" in problems[-1] or "Country: Expected: a value from the list." in problems
    assert page.locator("#notice").bounding_box()["y"] < page.locator("#form").bounding_box()["y"]
    assert page.locator("#age").input_value() == "30"
    assert page.locator("img").count() == 0
    scale = {"scale": "raw"} if "scale=raw" in fragment else {}
    if not scale:
        first = ranked(api, EXAMPLE)
        page.wait_for_function("n => document.querySelectorAll('#risks .figure').length == n", arg=len(first))
        assert list(shown(page).values()) == first


def test_a_complete_link_has_no_problem_to_show(open_page):
    fragment = "&".join(f"{name}={value}" for name, value in EXAMPLE.items())
    assert open_page(f"#{fragment}").locator("#notice").is_hidden()


def test_drugs_are_sorted_by_share_by_difference_and_by_name(page, api):
    risks = api.post("/predict", json=EXAMPLE).json()["risks"]
    drugs = dict(zip((risk["drug"] for risk in risks), risks, strict=True))
    names = page.evaluate("async () => (await import('/app/texts/en.js')).default.drugs")

    def order(key):
        return [names[drug] for drug in sorted(drugs, key=lambda drug: (not drugs[drug]["reliable"], key(drug)))]

    def difference(drug):
        return -abs(drugs[drug]["probability"] - drugs[drug]["base_rate"])

    assert list(shown(page)) == order(lambda drug: -drugs[drug]["probability"])
    page.get_by_label("Sort by").select_option("difference from the sample")
    assert list(shown(page)) == order(difference)
    page.get_by_label("Sort by").select_option("name")
    assert list(shown(page)) == order(lambda drug: names[drug].lower())
    assert page.locator("#risks .group:not(:empty)").count() == 1


def test_the_comparison_shows_before_and_now(page, api):
    page.get_by_role("button", name="Keep these answers").click()
    assert page.locator("#changes").inner_text() == "Nothing has changed yet. Change an answer in the form."
    page.locator("#gender").select_option("Male")
    page.locator("#age").fill("20")
    wait_for(page, ranked(api, {**EXAMPLE, "gender": "Male", "age": 20}))
    assert page.locator("#changes li").all_inner_texts() == ["Age in years: 30 → 20", "Gender: Female → Male"]
    risks = {r["drug"]: r for r in api.post("/predict", json={**EXAMPLE, "drugs": ["cannabis"]}).json()["risks"]}
    row = page.locator("#risks > li", has_text="Cannabis")
    assert f"before {round(100 * risks['cannabis']['probability'])}%" in row.inner_text()
    assert row.locator(".bar.compared .before").is_visible()
    page.get_by_role("button", name="Go back to them").click()
    wait_for(page, ranked(api, EXAMPLE))
    page.get_by_role("button", name="End the comparison").click()
    page.wait_for_function("() => !document.querySelector('.risks .compared')")


def test_a_drug_is_explained_when_it_is_opened(page, api):
    asked = []
    page.on("request", lambda request: request.post_data and asked.append(request.post_data))
    row = page.locator("#risks > li", has_text="LSD")
    row.locator("summary").click()
    page.wait_for_selector(".why table")
    assert [json.loads(body).get("drugs") for body in asked] == [["lsd"]]
    (risk,) = api.post("/predict", json={**EXAMPLE, "drugs": ["lsd"], "include": ["explanation", "windows"]}).json()[
        "risks"
    ]
    ranked_ = sorted(risk["explanation"]["contributions"].values(), key=lambda of: -abs(of))
    told = [float(re.search(r"\u00d7 ([\d.]+)", text)[1]) for text in row.locator(".why tbody td").all_inner_texts()]
    assert told == pytest.approx([2.718281828459045**of for of in ranked_], abs=0.006)
    assert len(told) == 12
    cells = row.locator(".facts td").all_inner_texts()
    assert len(cells) == 6
    assert f"{round(100 * risk['base_rate'])} of 100" in row.locator(".facts").inner_text()
    page.locator("#openness").fill("2")
    with page.expect_response(lambda answer: "explanation" in (answer.request.post_data or "")):
        page.locator("#openness").fill("2.5")


def test_each_drug_has_its_interval(page, api):
    risks = api.post("/predict", json={**EXAMPLE, "include": ["interval"]}).json()["risks"]
    (lsd,) = (risk["interval"] for risk in risks if risk["drug"] == "lsd")
    row = page.locator("#risks > li", has_text="LSD")
    assert f"{percent(lsd['low'])[:-1]}\u2013{percent(lsd['high'])}" in row.locator(".caption").inner_text()
    bar, interval = (row.locator(f".bar{part}").bounding_box() for part in ("", " .interval"))
    assert interval["x"] == pytest.approx(bar["x"] + lsd["low"] * bar["width"], abs=1)
    assert interval["width"] == pytest.approx((lsd["high"] - lsd["low"]) * bar["width"], abs=1)
    row.locator("summary").click()
    facts = row.locator(".facts", has_text="between")
    facts.wait_for()
    assert f"between {percent(lsd['low'])} and {percent(lsd['high'])}" in facts.inner_text()


def test_a_person_like_few_respondents_is_reported_in_words(page, api):
    assert page.locator("#support").inner_text() == ""
    page.locator("#country").select_option("New Zealand")
    person = {**EXAMPLE, "country": "New Zealand"}
    wait_for(page, ranked(api, person))
    support = api.post("/predict", json={**person, "include": ["support"]}).json()["support"]
    words = {"thin": "Few like this", "unusual": "Hardly any like this"}[support["level"]]
    assert re.match(rf"{words}: .* {support['similar']} respondents? alone", page.locator("#support").inner_text())
    page.locator("#age").fill("7")
    assert page.locator("#support").is_hidden()


def test_scores_are_placed_among_the_survey(page):
    page.locator("#openness").fill("2.9")
    page.wait_for_function("() => document.querySelector('#score-charts').textContent.includes('higher than')")
    charts = page.locator("#score-charts li")
    assert charts.count() == 7
    assert "higher than" in charts.nth(2).inner_text()
    place = charts.nth(2).locator("circle").get_attribute("cx")
    assert float(place) == pytest.approx(100 * (min(2.9, 2.90161) + 3.5) / 3.5, abs=0.1)


def test_the_card_health_and_drift_are_shown(page, api):
    page.locator("#model-details summary").click()
    page.wait_for_selector("#model-facts table")
    known = page.locator("#model-facts").inner_text()
    card = api.get("/model").json()
    assert card["model"] in known
    assert f"{card['drugs']['lsd']['decade']['auc']:.3f}" in known
    assert "1,885 respondents, the published survey" in known
    assert "Too few people for an answer" in known or "Yes" in known or "No:" in known


def test_the_report_is_shown_under_its_policy(page, url):
    page.locator("#report").click()
    page.wait_for_url(f"{url}/app/report/")
    assert page.locator("svg").count() > 100
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "1344px"
