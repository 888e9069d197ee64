#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The dashboards of deploy/grafana against Grafana's rules: finds content that a Grafana would refuse, repair silently or show as an empty panel.

Their queries run against a real Prometheus in tests/integration/telemetry_test.py.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "deploy/grafana/dashboards"
SCHEMA_VERSION_MIN = 36  # The schema of Grafana 9.0, the first with data sources as {type, uid}.
COLUMNS = 24
UNITS = {"short", "watt", "watth", "joule", "celsius", "percentunit", "s", "bytes", "bool", "bool_yes_no", "dateTimeFromNow"}
PANELS = {"stat", "timeseries", "table", "bargauge"}
BUILT_IN = {"datasource", "__all"}


def read_all():
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def variables(dashboard):
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def overlaps(one, other):
    a, b = one["gridPos"], other["gridPos"]
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def panel_problems(panel, known):
    title = panel.get("title")
    if panel.get("type") not in PANELS:
        yield f"unknown type {panel.get('type')}"
    if not title or not panel.get("description"):
        yield "a panel has a title and a description"
    if panel.get("fieldConfig", {}).get("defaults", {}).get("unit") not in UNITS:
        yield f"unit {panel.get('fieldConfig', {}).get('defaults', {}).get('unit')} is none of {', '.join(sorted(UNITS))}"
    if panel.get("datasource") != {"type": "prometheus", "uid": "${datasource}"}:
        yield "the data source is not the variable"
    place = panel["gridPos"]
    if place["x"] < 0 or place["w"] < 1 or place["h"] < 2 or place["x"] + place["w"] > COLUMNS:
        yield f"stands outside of the {COLUMNS} columns: {place}"
    if not panel.get("targets"):
        yield "no query"
    references = [target.get("refId") for target in panel.get("targets", [])]
    if len(set(references)) != len(references):
        yield f"refId twice: {references}"
    for target in panel.get("targets", []):
        if target.get("datasource") != panel["datasource"] or not target.get("expr", "").strip() or not target.get("legendFormat"):
            yield f"query {target.get('refId')}: wants the panel's data source, an expression and a legend"
        for name in re.findall(r"\$\{?(\w+)\}?", target.get("expr", "")):
            if name not in known:
                yield f"query {target.get('refId')}: no variable ${name}"
        if re.search(r"job_id|attempt_id", target.get("expr", "") + target.get("legendFormat", "")):
            yield f"query {target.get('refId')}: no label names a job"


def problems(name, dashboard):
    if dashboard["uid"] != "wattle-" + name.removesuffix(".json"):
        yield f"uid {dashboard['uid']} does not fit the file's name"
    if "id" in dashboard:
        yield "an id is of one Grafana only; leave it out"
    if dashboard["schemaVersion"] < SCHEMA_VERSION_MIN or not dashboard.get("title") or not dashboard.get("description"):
        yield f"wants title, description and a schemaVersion of at least {SCHEMA_VERSION_MIN}"
    known = variables(dashboard)
    if known.get("datasource", {}).get("type") != "datasource" or known["datasource"].get("query") != "prometheus":
        yield "wants a variable `datasource` of type datasource for prometheus"
    panels = dashboard["panels"]
    text = json.dumps(panels) + json.dumps(dashboard.get("links", []))
    for variable in known.keys() - BUILT_IN:
        if not re.search(rf"\$\{{?{variable}\b", text):
            yield f"nothing uses the variable {variable}"
    identities = [panel.get("id") for panel in panels]
    if not panels or len(set(identities)) != len(identities) or None in identities:
        yield f"panels need ids that differ: {identities}"
    for i, panel in enumerate(panels):
        yield from (f"panel `{panel.get('title')}`: {problem}" for problem in panel_problems(panel, known.keys()))
        yield from (f"panels `{panel.get('title')}` and `{other.get('title')}` overlap" for other in panels[:i] if overlaps(panel, other))


def main():
    dashboards = read_all()
    found = [f"{name}: {problem}" for name, dashboard in dashboards.items() for problem in problems(name, dashboard)]
    uids = [dashboard["uid"] for dashboard in dashboards.values()]
    if not dashboards or len(set(uids)) != len(uids):
        found.append(f"no dashboards, or a uid twice: {uids}")
    count = sum(len(dashboard["panels"]) for dashboard in dashboards.values())
    print("\n".join(found) or f"{len(dashboards)} dashboards, {count} panels: good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
