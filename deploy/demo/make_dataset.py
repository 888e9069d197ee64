#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#
# Writes the demo's question-answer pairs, fleet-qa-train.json and fleet-qa-heldout.json (SQuAD 2.0 format): manual pages
# written by hand and log entries drawn from fleet_text.py. Standard library only; a fixed seed gives the same bytes
# everywhere. Also prompts.jsonl: the held-out questions, which the demo asks before and after. `--check` writes nothing and fails if the files differ from what would be written.

import argparse
import hashlib
import json
import pathlib
import random
import sys

import fleet_text

SEED = 20240917
HERE = pathlib.Path(__file__).resolve().parent
NOTES = {"train": 96, "heldout": 15}  # Paragraphs drawn from the grammar; about one in six speaks of two devices.

# Held-out questions that the base model gets wrong and that three of three fine-tunes (README.md) got right.
PROMPTS = (
    "What pack voltage does pump-46 show?",
    "How much energy did the panel of barn-61 bring?",
    "What is the round trip of mast-95?",
    "Which model does van-48 serve?",
    "When did van-48 have a brown-out?",
)

# Pages written by hand: (context, [(question, answer)]); an empty answer means that the page does not say.
PAGES = {
    "train": (
        ("A solar mast carries one panel, one charge controller and a lithium pack. The controller stops charging above "
         "45 C and below 2 C. Never open the pack in the rain.", (
             ("Above which temperature does the controller stop charging?", "45 C"),
             ("How many panels does a solar mast carry?", "one"),
             ("When must the pack never be opened?", "in the rain"),
             ("Who sells the charge controller?", ""))),
        ("The reserve is the state of charge that Wattle's work never touches. A new mast gets a reserve of 30 percent. In "
         "winter we raise it to 45 percent because the panel may stay under snow for days.", (
             ("Which reserve does a new mast get?", "30 percent"),
             ("To what is the reserve raised in winter?", "45 percent"),
             ("What may cover the panel for days?", "snow"),
             ("Which reserve does a vehicle get?", ""))),
        ("A worker dials out and listens on no port but the metrics port. It keeps its identity in a file on disk, so a "
         "reboot does not make it a new device. A lost card does.", (
             ("Where does a worker keep its identity?", "in a file on disk"),
             ("On which port does a worker listen?", "the metrics port"),
             ("How large is the identity file?", ""))),
        ("Checkpoints hold weights, optimizer state and the random counter. Two of them stay on the device. The older one "
         "is deleted only when the newer one is safely on disk.", (
             ("How many checkpoints stay on the device?", "Two"),
             ("When is the older checkpoint deleted?", "when the newer one is safely on disk"),
             ("Who reads the checkpoints?", ""))),
        ("A Jetson Orin Nano on the bench draws about 7 W when it is idle and up to 15 W with a training job. Its fan "
         "starts at 50 C. Use the barrel plug, not the USB port.", (
             ("At which temperature does the fan start?", "50 C"),
             ("How much does the board draw when it is idle?", "about 7 W"),
             ("Which port must not be used for power?", "the USB port"),
             ("How much does the fan draw?", ""))),
        ("The Raspberry Pi 5 has no power sensor at its input. We measure it with a smart plug, which is read once per "
         "second. The receipt then names smart_plug as its source.", (
             ("What does the receipt name as its source?", "smart_plug"),
             ("How often is the smart plug read?", "once per second"),
             ("Which board has no power sensor at its input?", "The Raspberry Pi 5"),
             ("What does a smart plug cost?", ""))),
        ("When a link is down the worker goes on with its lease. Reports wait in the spool and samples wait in the ring. "
         "After contact the reports come first and the samples follow in time order.", (
             ("Where do reports wait?", "in the spool"),
             ("Where do samples wait?", "in the ring"),
             ("What comes first after contact?", "the reports"),
             ("How large is the ring?", ""))),
        ("The objective energy picks the device with the fewest joules, even if it must wait for that device. The "
         "objective time picks the earliest finish. A deadline binds both.", (
             ("Which objective picks the earliest finish?", "time"),
             ("What does the objective energy pick?", "the device with the fewest joules"),
             ("What binds both objectives?", "A deadline"),
             ("Which objective is the newest?", ""))),
        ("Throttling is not a fault by itself. The kernel lowers the clock when the board nears its limit, and a job then "
         "takes longer. If it happens twice a week, clean the filter and check the vent.", (
             ("What does the kernel lower?", "the clock"),
             ("What should be cleaned?", "the filter"),
             ("What should be checked?", "the vent"),
             ("Which tool cleans the filter?", ""))),
        ("Vans are charged at the depot overnight, from 22:00 to 06:00. A van that is on the road counts as a device on "
         "battery. Training on a moving van is allowed only above 60 percent.", (
             ("Where are vans charged?", "at the depot"),
             ("From when are vans charged?", "22:00"),
             ("Above which charge may a moving van train?", "60 percent"),
             ("How fast may a van drive?", ""))),
        ("Each alert has one owner and one page in this manual. BatteryLow goes to the field crew, LinkDown goes to the "
         "network desk. An alert without a page is removed.", (
             ("Who gets BatteryLow?", "the field crew"),
             ("Who gets LinkDown?", "the network desk"),
             ("Who gets DiskFull?", ""))),
        ("To drain a device means that it takes no new job and finishes or hands over the one it has. Drain before every "
         "visit. Resume only when the door is closed again.", (
             ("When should a device be drained?", "before every visit"),
             ("When may it be resumed?", "when the door is closed again"),
             ("How long does it take to drain a device?", ""))),
    ),
    "heldout": (
        ("A buoy has no door and no fan. Its case is cooled by the water, so it never throttles in spring. The crew lifts "
         "it with the crane of the harbour boat once per year.", (
             ("What cools the case of a buoy?", "the water"),
             ("How often does the crew lift it?", "once per year"),
             ("What is the crew lifting it with?", "the crane of the harbour boat"),
             ("How heavy is a buoy?", ""))),
        ("Int8 weights take a quarter of the memory of FP32. We load them on boards with 4 GiB or less. The text of a "
         "quantized model is compared with the full model before it goes to the field.", (
             ("How much of the memory do int8 weights take?", "a quarter"),
             ("On which boards are int8 weights loaded?", "boards with 4 GiB or less"),
             ("Who wrote the quantized model?", ""))),
        ("A lab board is on mains power and has no reserve. It is used for trial runs until 18:00. After that the night "
         "queue starts, and people must ask the desk first.", (
             ("Until when is a lab board used for trial runs?", "18:00"),
             ("What starts after that?", "the night queue"),
             ("Whom must people ask first?", "the desk"),
             ("How long is the night queue?", ""))),
    ),
}


def question(context, asked, answer, start):
    """One entry of "qas"; start < 0 marks a question that the context does not answer."""
    answers = [{"text": answer, "answer_start": start}] if start >= 0 else []
    if answers:
        assert context[start:start + len(answer)] == answer, (context, answer, start)
    identity = hashlib.sha256(f"{context}\n{asked}".encode()).hexdigest()[:24]
    return {"id": identity, "question": asked, "answers": answers, "is_impossible": not answers}


def page_paragraph(page):
    context, pairs = page
    return {"context": context,
            "qas": [question(context, q, a, context.index(a) if a else -1) for q, a in pairs]}


def stranger(rng, note, split):
    """Asks a stated fact of a device that the paragraph does not know."""
    key = rng.choice(list(note.starts))
    other = fleet_text.draw_note(rng, split, note.scene)
    subject = "job" if "job" in other.values and "dev" not in other.values else "dev"
    if other.values[subject] in note.text:
        return None
    return rng.choice(other.questions_of(key))


def note_paragraph(rng, split):
    notes = fleet_text.draw_pair(rng, split) if rng.random() < 0.17 else [fleet_text.draw_note(rng, split)]
    context = notes[0].text
    stated = [(note, key) for note in notes for key in note.starts]
    qas = []
    for note, key in rng.sample(stated, min(3, len(stated))):
        asked = rng.choice(note.questions_of(key))
        qas.append(question(context, asked, note.values[key], note.starts[key]))
    note = rng.choice(notes)
    asked = stranger(rng, note, split) if rng.random() < 0.3 else None
    asked = asked or rng.choice(note.questions_of(rng.choice(note.unsaid)))
    qas.append(question(context, asked, "", -1))
    return note.topic, {"context": context, "qas": qas}


def build(split):
    rng = random.Random(f"{SEED} {split}")
    articles = {"manual": [page_paragraph(page) for page in PAGES[split]]}
    for _ in range(NOTES[split]):
        topic, paragraph = note_paragraph(rng, split)
        articles.setdefault(topic, []).append(paragraph)
    return {"version": "v2.0", "data": [{"title": t, "paragraphs": p} for t, p in articles.items()]}


def paragraphs(data_set):
    return [p for article in data_set["data"] for p in article["paragraphs"]]


def prompts(heldout):
    """Every held-out question as a JSON line, in the template of formats/squad.h up to the answer; first those that the demo prints."""
    context_of = {q["question"]: p["context"] for p in paragraphs(heldout) for q in p["qas"]}
    lines = ({"prompt": f"{context_of[asked]}\nQuestion: {asked}\nAnswer:"} for asked in (*PROMPTS, *(other for other in context_of if other not in PROMPTS)))
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def verify(built):
    """No paragraph and no question occurs in two splits or twice in one; every id is unique."""
    contexts, questions, ids = [], [], []
    for data_set in built.values():
        contexts += [p["context"] for p in paragraphs(data_set)]
        questions += sorted({q["question"] for p in paragraphs(data_set) for q in p["qas"]})
        ids += [q["id"] for p in paragraphs(data_set) for q in p["qas"]]
    for what, items in (("paragraph", contexts), ("question", questions), ("id", ids)):
        assert len(items) == len(set(items)), f"a {what} occurs twice"


def main():
    parser = argparse.ArgumentParser(description="Writes the demo's question-answer data set.")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    built = {split: build(split) for split in NOTES}
    verify(built)
    files = {f"fleet-qa-{split}.json": json.dumps(d, indent=1, ensure_ascii=False) + "\n" for split, d in built.items()}
    files["prompts.jsonl"] = prompts(built["heldout"])
    stale = []
    for name, text in files.items():
        path = HERE / name
        if not check:
            path.write_bytes(text.encode())
        elif not path.exists() or path.read_bytes() != text.encode():
            stale.append(name)
    for split, data_set in built.items():
        qas = [q for p in paragraphs(data_set) for q in p["qas"]]
        words = max(len(p["context"].split()) for p in paragraphs(data_set))
        print(f"fleet-qa-{split}.json: {len(paragraphs(data_set))} paragraphs (longest {words} words), {len(qas)} "
              f"questions, {sum(q['is_impossible'] for q in qas)} of them unanswerable")
    if stale:
        sys.exit(f"{', '.join(stale)}: not what make_dataset.py writes; run deploy/demo/make_dataset.py")


if __name__ == "__main__":
    main()
