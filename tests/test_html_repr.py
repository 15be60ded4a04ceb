"""Bars for notebooks: self-contained HTML that shows the given values."""

import re
from html.parser import HTMLParser

from drugpred.html_repr import Bar, bars


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def test_each_bar_has_its_name_length_mark_and_figures():
    read = Reader(
        bars("Title", [Bar("LSD", 0.234, "23%", "Low", True, 0.297), Bar("crack", 1.0, "100%", "", False)], "n")
    )
    assert read.open == []
    assert read.text == ["Title", "LSD", "23%", "Low", "crack", "100%", "n"]
    lengths = [attributes["style"] for tag, attributes in read.tags if tag in "su"]
    assert lengths == ["width: 23.4%", "left: 29.7%", "width: 100.0%"]
    assert [attributes.get("class") for tag, attributes in read.tags if tag == "i"] == ["pale", None]


def test_it_needs_no_script_and_no_other_host_and_has_a_dark_form():
    text = bars("t", [], "n")
    assert not re.search(r"<script|//|url\(|@import|<link|<img", text)
    assert "prefers-color-scheme: dark" in text


def test_text_is_never_markup():
    text = bars("<b>", [Bar("<i>", 0.5, "<u>", "<s>", False)], "<script>")
    assert Reader(text).text == ["<b>", "<i>", "<u>", "<s>", "<script>"]
