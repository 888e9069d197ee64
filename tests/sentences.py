#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Short sentences: an entry of CHANGELOG.md has at most two of 30 words, and README.md and the guides have none above 35 words. Tables,
code blocks and headings are left out. `--statistics` prints the means.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDES = ["README.md", "docs/guide/*.md", "docs/operate/*.md"]
GUIDE_WORDS, CHANGELOG_WORDS, CHANGELOG_SENTENCES = 35, 30, 2

ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")
# A full stop ends a sentence if the next word begins with a capital, a digit or a mark; "et al. 2022" is no end.
END = re.compile(r"(?<!\bal)(?<=[.!?])[)\"'*]*\s+(?=[A-Z0-9`\"'(\[*])")


def paragraphs(text):
    """(number of the first line, text) of each paragraph and of each item of a list."""
    found, fenced, inside = [], False, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced, inside = not fenced, False
        elif fenced or not line.strip() or line.startswith(("|", "#")) or (line.startswith("    ") and not inside):
            inside = False
        elif inside and not ITEM.match(line):
            found[-1][1] += " " + line.strip()
        else:
            found.append([number, ITEM.sub("", line, count=1)])
            inside = True
    return found


def sentences(paragraph):
    """Lists of words; a single sign is no word, nor is the target of a link."""
    parts = END.split(re.sub(r"\]\([^)]*\)", "]", paragraph))
    words = [[word for word in part.split() if re.search(r"\w", word)] for part in parts]
    return [sentence for sentence in words if sentence]


def faults(name, text):
    changelog = name == "CHANGELOG.md"
    most = CHANGELOG_WORDS if changelog else GUIDE_WORDS
    for number, paragraph in paragraphs(text):
        found = sentences(paragraph)
        if changelog and len(found) > CHANGELOG_SENTENCES:
            yield f"{name}:{number}: an entry of {len(found)} sentences; at most {CHANGELOG_SENTENCES}"
        for sentence in found:
            if len(sentence) > most:
                yield f"{name}:{number}: a sentence of {len(sentence)} words, at most {most}: {' '.join(sentence[:8])} …"


def statistics(name, text):
    lengths = [len(sentence) for _, paragraph in paragraphs(text) for sentence in sentences(paragraph)]
    most = CHANGELOG_WORDS if name == "CHANGELOG.md" else GUIDE_WORDS
    return f"{name}: {len(lengths)} sentences, mean {sum(lengths) / len(lengths):.1f} words, {sum(n > most for n in lengths)} above {most}"


def main():
    paths = [ROOT / "CHANGELOG.md"] + sorted(path for pattern in GUIDES for path in ROOT.glob(pattern))
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    if "--statistics" in sys.argv[1:]:
        print("\n".join(statistics(name, text) for name, text in texts.items()))
        return 0
    problems = [problem for name, text in texts.items() for problem in faults(name, text)]
    print("\n".join(problems) or f"{len(texts)} pages: every sentence is short")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
