"""The texts of the page: complete in each language, and all used."""

import re

import pytest

from drugpred.codebook import CATEGORIES
from tests.harness import ROOT

pytestmark = pytest.mark.slow

WEB = ROOT / "drugpred" / "web"
SHAPE = """async name => {
  const shape = (texts, path) => Object.entries(texts).flatMap(([key, value]) =>
    typeof value === 'object' ? shape(value, `${path}${key}.`)
      : [`${path}${key} ${typeof value}${typeof value === 'function' ? value.length : ''}`]);
  return shape((await import(`/app/texts/${name}.js`)).default, '');
}"""


def shape(page, language):
    return {path for path in page.evaluate(SHAPE, language) if not path.startswith("labels.")}


def test_each_language_has_all_texts(page):
    assert shape(page, "de") == shape(page, "en")


def test_each_text_is_used(page):
    used = "".join(path.read_text(encoding="utf-8") for path in (*WEB.glob("*.js"), WEB / "index.html"))
    names = {path.split(" ")[0].partition(".")[0] for path in shape(page, "en")}
    assert [name for name in names if not re.search(rf"\bt\.{name}\b|data-(?:text|label)=\"{name}\"", used)] == []


def test_the_page_is_in_the_language_of_the_browser(open_page):
    page = open_page(locale="de-AT")
    page.wait_for_selector("#score-charts svg")
    assert page.locator("html").get_attribute("lang") == "de"
    english = page.evaluate("async () => Object.values((await import('/app/texts/en.js')).default.fields)")
    german = page.evaluate("async () => Object.values((await import('/app/texts/de.js')).default.fields)")
    shown = page.locator("body").inner_text()
    assert [word for word in german if word not in shown] == []
    assert [word for word in english if word in shown and word not in german] == []
    options = page.locator("#person option").all_inner_texts()
    labels = {label for category in CATEGORIES for label in category.labels}
    assert labels & set(options) == {"18-24", "25-34", "35-44", "45-54", "55-64", "65+", "USA"} & set(options)


def test_another_language_gets_english(open_page):
    page = open_page(locale="fr-FR")
    assert page.locator("html").get_attribute("lang") == "en"
