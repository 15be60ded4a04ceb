"""`drugpred predict`."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from drugpred.cli import options
from drugpred.cli.base import Command, did_you_mean, ended_by_sigpipe, text_table
from drugpred.codebook import AGE, CATEGORIES, DRUGS, SCORES, WINDOWS, Category
from drugpred.errors import field_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from click.shell_completion import CompletionItem
    from pydantic import ValidationError

    from drugpred.schemas import Prediction, Profile, Risk


class _Label(click.ParamType[str]):
    """A text that completes to labels, and which the profile validates."""

    name = "label"

    def __init__(self, category: Category) -> None:
        self._category = category

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's own
        """Complete a label."""
        from click.shell_completion import CompletionItem

        begun = incomplete.casefold()
        return [CompletionItem(label) for label in self._category.labels if label.casefold().startswith(begun)]

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401, ARG002 - click's own
        """Return the text, or a number of years."""
        return int(value) if self._category is AGE and value.isdecimal() else value


def _inputs(command: Callable[..., object]) -> Callable[..., object]:
    """Add an option for each input of a profile."""
    for score in reversed(SCORES):
        text = "Standardized, from {} to {}".format(*score.bounds())
        text += ", or a total from {} to {} with --scale raw.".format(*score.bounds("raw")) if score.is_neo else "."
        command = click.option(f"--{score.name.replace('_', '-')}", type=float, help=text)(command)
    for category in reversed(CATEGORIES):
        expected = f"{category.expected[0].upper()}{category.expected[1:]}."
        command = click.option(f"--{category.name}", type=_Label(category), metavar="LABEL", help=expected)(command)
    return command


@click.command(cls=Command, kept="nothing was predicted")
@click.argument("file", metavar="[FILE]", type=click.File("rb"), required=False)
@_inputs
@options.scale
@options.window
@options.drugs
@click.option(
    "--include",
    type=click.Choice(["windows", "explanation", "interval", "support"]),
    multiple=True,
    help="Also the probability within every window, what each input adds to the log-odds, the 90% interval of each "
    "probability, or how many respondents are like the person. May be given several times.",
)
@options.model
@click.option("--json", "as_json", is_flag=True, help="Print what POST /predict answers.")
@click.pass_context
def predict(ctx: click.Context, /, file: BinaryIO | None, model: str | None, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - the fields of a profile
    """Predict each drug's probability of use for one person, as the service does.

    The person is described by options, or by the JSON of POST /predict in FILE, which is - for the standard input.
    Options take precedence over FILE.

    The prediction_id is signed by no server, so no server takes feedback on it.
    """
    from pydantic import ValidationError

    from drugpred import model_store
    from drugpred.schemas import Profile
    from drugpred.scoring import Scorer

    content = _parsed(file) if file else {}
    by_default = {name for name in given if ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT}
    content |= {name: value for name, value in given.items() if name not in by_default and value is not None}
    try:
        profile = Profile.model_validate(content)
    except ValidationError as error:
        raise click.UsageError("\n".join(_messages(error))) from None
    (prediction,) = Scorer(model_store.load(model or model_store.NAME)).predict([profile])
    with ended_by_sigpipe():
        click.echo(prediction.model_dump_json() if as_json else _readable(profile, prediction))


def _parsed(file: BinaryIO) -> dict[str, Any]:
    from pydantic_core import from_json

    try:
        content = from_json(file.read().removeprefix(BOM_UTF8))
    except ValueError as error:
        raise click.UsageError(f"expected JSON: {error}") from None
    if not isinstance(content, dict):
        raise click.UsageError("expected a JSON object")
    return content


def _messages(error: ValidationError) -> Iterator[str]:
    """Yield a line for each error of a profile.

    They suggest the nearest label. The service's messages do not: they may be logged or forwarded, and the nearest
    label says almost as much about a person as the label that was sent.
    """
    from drugpred.schemas import faults

    known: dict[str | int, Sequence[str]] = {category.name: [*category.codes] for category in CATEGORIES}
    missing = []
    for fault, raised in zip(faults(error), error.errors(include_url=False), strict=False):
        if fault.type == "missing":
            missing.append(str(fault.loc[0]))
            continue
        written = raised["input"]
        names = {**known, "drugs": DRUGS, "window": WINDOWS}.get(fault.loc[0] if fault.loc else "", ())
        hint = did_you_mean(written, names) if isinstance(written, str) else ""
        yield f"{field_path(fault.loc) or 'profile'}: {fault.msg}{hint}"
    if missing:
        yield f"expected also {', '.join(missing)}: each as an option, or in the JSON"


def _readable(profile: Profile, prediction: Prediction) -> str:
    """Return the prediction as a table, the most probable drug first, and below it the explanations."""
    risks = sorted(prediction.risks, key=lambda risk: -risk["probability"])
    windows = WINDOWS if "windows" in profile.include else ()
    bounds = ("low", "high") if "interval" in profile.include else ()
    rows = [("drug", "probability", *bounds, "base rate", "label", "reliable", *windows)]
    for risk in risks:
        interval = (f"{value:.4f}" for value in risk["interval"].values()) if bounds else ()
        figures = f"{risk['probability']:.4f}", *interval, f"{risk['base_rate']:.4f}"
        within = (f"{risk['windows'][window]:.4f}" for window in windows)
        rows.append((risk["drug"], *figures, risk["label"], "yes" if risk["reliable"] else "no", *within))
    head = f"window {prediction.window}, model {prediction.model}, trained on {prediction.data_source}"
    if prediction.support is not None:
        of = prediction.support
        head += f"\nsupport {of['level']}: {of['similar']} similar respondents; {of['percentile']}% of all have fewer"
    return "\n\n".join([head, text_table(*rows), *map(_explained, (risk for risk in risks if "explanation" in risk))])


def _explained(risk: Risk) -> str:
    explanation = risk["explanation"]
    contributions = sorted(explanation["contributions"].items(), key=lambda item: -abs(item[1]))
    rows = [("base", explanation["base"]), *contributions]
    return f"log-odds of {risk['drug']}\n" + text_table(*((name, f"{value:+.4f}") for name, value in rows))
