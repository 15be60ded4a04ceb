"""Print the slowest tests of a run, and fail if one took longer than its budget.

Usage: durations.py REPORT, where REPORT is pytest's --junitxml with junit_duration_report = call.
"""

import sys
from xml.etree import ElementTree as ET

QUICK, SLOW = 20, 600
"""The seconds that a test may take; tests/conftest.py gives slow ones a property."""

cases = [
    (
        float(case.get("time", 0)),
        f"{case.get('classname')}::{case.get('name')}",
        QUICK if case.find("properties/property[@name='slow']") is None else SLOW,
    )
    for case in ET.parse(sys.argv[1]).iter("testcase")  # noqa: S314 - pytest has just written it
]
for seconds, name, _ in sorted(cases, reverse=True)[:15]:
    print(f"{seconds:7.1f} s  {name}")  # noqa: T201
print(f"{sum(seconds for seconds, *_ in cases):7.1f} s  {len(cases)} tests, without what they share")  # noqa: T201
if late := [f"{name} ({budget} s)" for seconds, name, budget in cases if seconds > budget]:
    sys.exit(f"expected no test to take longer than its budget: {', '.join(late)}")
