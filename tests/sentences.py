#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Sentences that a native reader understands at first reading.

Lengths: an entry of CHANGELOG.md has at most two sentences of 30 words, and README.md and the guides have none above 35 words. Tables, code
blocks and headings are left out. `--statistics` prints the means.

Kinds: BOUNDS says how often each kind of sentence that needs a second reading may occur in the pages and in the comments of sources, tests and
scripts. A commit lowers a bound when it can; a commit that raises one says why. `--count` prints the counts by folder, `--list KIND` the places.
"""

import io
import pathlib
import re
import sys
import tokenize

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDES = ["README.md", "docs/guide/*.md", "docs/operate/*.md"]
GUIDE_WORDS, CHANGELOG_WORDS, CHANGELOG_SENTENCES, CELL_WORDS = 35, 30, 2, 40

# kind: (most in pages, most in comments)
BOUNDS = {
    "alone": (0, 3),  # the word where "only" is meant
    "of": (0, 0),  # a comment, or a sentence of a page, that begins with "Of"
    "pronoun": (0, 0),  # a sentence that begins with It, That, So or They
    "fragment": (0, 0),  # "As place.h does.", "The same for a class.", "Likewise …"
    "person": (0, 1),  # a verb of people for a program: see PERSON
    "cell": (0, 0),  # a cell of a table above CELL_WORDS
}

ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")
# A full stop ends a sentence if the next word begins with a capital, a digit or a mark; "et al. 2022" is no end.
END = re.compile(r"(?<!\bal)(?<=[.!?])[)\"'*]*\s+(?=[A-Z0-9`\"'(\[*])")

PROGRAM = (
    r"(?:[Aa]gent|[Bb]oard|CLI|[Cc]lient|[Cc]oordinator|[Cc]ore|[Dd]evice|[Gg]uard|[Jj]ob|[Jj]ournal|[Mm]eter|[Pp]lan|[Pp]lanner|[Pp]redictor|"
    r"[Pp]rocess|[Pp]rogram|[Rr]un|[Rr]unner|[Ss]cheduler|[Ss]ensor|[Ss]erver|[Ss]helper|[Ss]imulator|[Ss]tore|[Ww]orker|Wattle)"
)
VERB = r"(?:hears?|tells?|told|trusts?|trusted|looks?|looked|bears?|bore|says?|said|believes?|thinks?)"
PERSON = re.compile(
    rf"\b{PROGRAM}(?:e?s)?(?: itself| that| which)?(?: \w+ly| also| never| only| not| does not| can| may| must| did not)? {VERB}\b"
    r"(?! ahead| for| up)|\b(?:[Hh]ears?|[Hh]eard|[Hh]earing)\b|\b(?:is|are|was|were|be|been) told\b(?! apart)"
)


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


def parts(paragraph):
    """The sentences of a paragraph; the target of a link is no part of one."""
    return END.split(re.sub(r"\]\([^)]*\)", "]", paragraph))


def words(sentence):
    """A sign between blanks is no word."""
    return [word for word in sentence.split() if re.search(r"\w", word)]


def sentences(paragraph):
    return [found for found in map(words, parts(paragraph)) if found]


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


def cells(text):
    """(number of the line, text) of each cell of the tables."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|"):
            for cell in line.strip().strip("|").split(" | "):
                yield number, cell.strip()


def joined(lines):
    """Comments of adjacent lines are one, unless the line before has code of its own."""
    found, last = [], None
    for number, text, own_line in lines:
        if last == number - 1 and own_line and text:
            found[-1][1] += " " + text
        elif text:
            found.append([number, text])
        last = number if text and own_line else None
    return found


def marked(text, mark):
    """The comments that begin with `mark`; a mark inside quotes begins none."""
    for number, line in enumerate(text.splitlines(), 1):
        before, found, comment = line.partition(mark)
        if found and (not before or before[-1].isspace()) and before.count('"') % 2 == 0:
            yield number, comment.strip("/!#< "), not before.strip()


def python_comments(text):
    statement = True  # Whether a string here is a docstring.
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.strip("#! "), not token.line[: token.start[1]].strip()
        elif token.type == tokenize.STRING and statement:
            for number, line in enumerate(re.sub(r"^\w*[\"']+|[\"']+$", "", token.string).splitlines(), token.start[0]):
                yield number, line.strip(), True
        statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.ENCODING) or (
            statement and token.type == tokenize.COMMENT
        )


def comments(path, text):
    if path.suffix == ".py":
        return joined(python_comments(text))
    return joined(marked(text, "//" if path.suffix in (".cc", ".h", ".cu", ".cuh", ".proto") else "#"))


def kinds(sentence):
    """The kinds of a sentence, as BOUNDS names them."""
    yield from ["alone"] * len(re.findall(r"(?<!let )\balone\b(?!\.\w)", sentence))
    if re.match(r"(?:It|That|So|They)\b", sentence):
        yield "pronoun"
    if re.match(r"As [^,]*$|Likewise\b|The same(?:[.,:;]| (?:for|as|of|in|on|with|from|at|to|by|but)\b)", sentence):
        yield "fragment"
    yield from ["person"] * len(PERSON.findall(sentence))


def found_in(path):
    """(kind, number of the line, sentence) of each sentence of BOUNDS' kinds in the page or source."""
    text = path.read_text()
    page = path.suffix == ".md"
    for number, paragraph in paragraphs(text) + list(cells(text)) if page else comments(path, text):
        if not page and re.match(r"Of\b", paragraph):
            yield "of", number, paragraph
        for sentence in parts(paragraph):
            if page and re.match(r"Of\b", sentence):
                yield "of", number, sentence
            for kind in kinds(sentence):
                yield kind, number, sentence
    for number, cell in cells(text) if page else []:
        if len(words(cell)) > CELL_WORDS:
            yield "cell", number, cell


def files_with_words():
    for top in sorted(ROOT.iterdir()):
        if top.name in ("build", "shared", ".git"):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(ROOT)
            script = str(relative) in ("dev", ".ci/run", "deploy/jetson/build") or path.name == "CMakeLists.txt"
            source = path.suffix in (".md", ".cc", ".h", ".cu", ".cuh", ".proto", ".py", ".cmake", ".sh")
            if (script or source) and path.is_file() and "corpus" not in relative.parts:
                yield path, relative


def folder(relative):
    """The folder at the root, a subfolder of docs, or the file at the root."""
    depth = 2 if relative.parts[0] == "docs" else 1
    return "/".join(relative.parts[:-1][:depth] or relative.parts)


def check_kinds(counts):
    for kind, bounds in BOUNDS.items():
        for place, most in zip(("pages", "comments"), bounds):
            number = counts.get((kind, place), 0)
            if number > most:
                yield f"{number} of the kind '{kind}' in {place}, at most {most}: tests/sentences.py --list {kind} prints them"


def print_counts(folders, counts):
    for place in ("pages", "comments"):
        folders[f"all {place}"] = {kind: counts.get((kind, place), 0) for kind in BOUNDS}
    print(f"{'':<24}" + "".join(f"{kind:>10}" for kind in BOUNDS))
    for name, row in folders.items():
        print(f"{name:<24}" + "".join(f"{row[kind]:>10}" for kind in BOUNDS))


def main():
    arguments = sys.argv[1:]
    paths = [ROOT / "CHANGELOG.md"] + sorted(path for pattern in GUIDES for path in ROOT.glob(pattern))
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    if "--statistics" in arguments:
        print("\n".join(statistics(name, text) for name, text in texts.items()))
        return 0
    found = [(relative, *fault) for path, relative in files_with_words() for fault in found_in(path)]
    if "--list" in arguments:
        kind = arguments[arguments.index("--list") + 1]
        print("\n".join(f"{relative}:{number}: {sentence[:160]}" for relative, name, number, sentence in found if name == kind))
        return 0
    counts, folders = {}, {}
    for relative, kind, _, _ in found:
        place = "pages" if relative.suffix == ".md" else "comments"
        counts[kind, place] = counts.get((kind, place), 0) + 1
        row = folders.setdefault(f"{folder(relative)} ({place})", dict.fromkeys(BOUNDS, 0))
        row[kind] += 1
    if "--count" in arguments:
        print_counts(folders, counts)
        return 0
    problems = [problem for name, text in texts.items() for problem in faults(name, text)] + list(check_kinds(counts))
    print("\n".join(problems) or f"{len(texts)} pages: every sentence is short")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
