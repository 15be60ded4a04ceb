"""What the tests of the page know of people."""

from drugpred.codebook import SCORES

EXAMPLE = {
    "scale": "standardized",
    "age": 30,
    "gender": "Female",
    "education": "University degree",
    "country": "UK",
    "ethnicity": "White",
    **{score.name: 0 for score in SCORES},
}
"""With whom the page begins."""


def shown(page):
    """Probabilities as the page shows them, by drug's shown name, in its order."""
    rows = page.locator("#risks > li")
    return dict(zip(rows.locator(".name").all_inner_texts(), rows.locator(".figure").all_inner_texts(), strict=True))


def percent(probability):
    """A probability as the page writes it."""
    return "<1%" if probability < 0.005 else ">99%" if probability > 0.995 else f"{int(100 * probability + 0.5)}%"


def wait_for(page, expected, timeout=20_000):
    """Wait until the page shows these probabilities in this order."""
    page.wait_for_function(
        "expected => [...document.querySelectorAll('#risks .figure')].map(e => e.textContent).join() == expected",
        arg=",".join(expected),
        timeout=timeout,
    )


def ranked(api, profile, **more):
    """What the service says of a profile, as the page should show it: barely predictable drugs last."""
    risks = api.post("/predict", json={**profile, **more}).json()["risks"]
    risks.sort(key=lambda risk: (not risk["reliable"], -risk["probability"]))
    return [percent(risk["probability"]) for risk in risks]
