# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#
# The demo's small grammar of an operator's log: scenes (a battery report, a hot board, a lost link ...), each with
# sentences, the facts that they state, and how people ask for those facts. make_dataset.py draws question-answer pairs
# from it, make_model.py draws running text for pretraining. Each draws its own devices: a device or job id belongs to
# exactly one split, so no paragraph and no question can occur in two of them. Standard library only; no global state.

import re
import zlib
from dataclasses import dataclass, field

SPLITS = ("pretrain", "train", "heldout")

PLACES = (
    "Harbour Ridge", "North Quarry", "Mill Pond", "Cedar Gate", "Salt Flats", "Larch Hill", "Fern Hollow",
    "Stone Bridge", "Otter Creek", "Windy Gap", "South Orchard", "Amber Lake", "Pine Ridge", "Copper Mine",
    "Eagle Point", "Low Meadow", "River Lock", "Chalk Pit", "Heron Marsh", "Old Ferry", "Granite Pass", "Birch Farm",
    "West Dock", "Clay Fields", "Moss Valley", "Beacon Hill", "Long Barn", "East Weir", "Thorn Wood", "Sand Bay",
)
PEOPLE = (
    "Ines", "Tomas", "Priya", "Joran", "Aiko", "Marta", "Deniz", "Femi", "Lucia", "Henrik", "Noor", "Pavel", "Greta",
    "Samir", "Olga", "Ravi", "Beatriz", "Kofi", "Elin", "Mateo", "Yusuf", "Clara", "Anders", "Mei", "Nadia", "Oscar",
    "Salma", "Viktor", "Wanda", "Zoe",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
KINDS = ("mast", "nx", "orin", "pi", "buoy", "van", "barn", "pump", "gate", "lab")
BOARDS = ("Jetson Xavier NX", "Jetson Orin Nano", "Jetson AGX Orin", "Raspberry Pi 5", "Raspberry Pi 4",
          "Compute Module 4", "Jetson Nano")
MODELS = ("GPT-2 Small", "DistilGPT2", "Phi-2", "Gemma 2B", "StableLM", "Llama 1B", "TinyLlama")


def owner_of(identifier):
    """The only split that may speak of this device or job."""
    bucket = zlib.crc32(identifier.encode()) % 10
    return "heldout" if bucket == 0 else "train" if bucket <= 3 else "pretrain"


def _identifier(rng, split, prefixes, low, high):
    while True:
        name = f"{rng.choice(prefixes)}-{rng.randint(low, high):02d}"
        if owner_of(name) == split:
            return name


def number(low, high, unit="", step=1):
    return lambda rng: f"{rng.randrange(low, high + 1, step)}{unit}"


def tenths(low, high, unit=""):
    return lambda rng: f"{rng.randint(low * 10, high * 10) / 10:.1f}{unit}"


def one_of(*values):
    return lambda rng: rng.choice(values)


def clock(low=0, high=23):
    return lambda rng: f"{rng.randint(low, high):02d}:{rng.randrange(0, 60, 5):02d}"


@dataclass(frozen=True)
class Fact:
    """A value of a scene: how it is drawn, its name, its sentences, and its questions beside 'What is <name>?'."""
    draw: object
    name: str
    sentences: tuple
    questions: tuple = ()


@dataclass(frozen=True)
class Scene:
    """One kind of log entry. The first fact opens it and names the device."""
    topic: str
    facts: dict
    prefixes: tuple = KINDS
    extras: dict = field(default_factory=dict)


@dataclass
class Note:
    """A drawn paragraph: its text, where each stated value begins, and what it leaves unsaid."""
    topic: str
    values: dict
    text: str
    starts: dict
    unsaid: list
    scene: Scene

    def name_of(self, key):
        return fill(self.scene.facts[key].name, self.values)

    def questions_of(self, key):
        fact = self.scene.facts[key]
        asked = [fill(q, self.values) for q in fact.questions]
        return asked + [f"What is {self.name_of(key)}?"]


def fill(template, values):
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], template)


def sentence_case(text):
    return text if re.match(r"[a-z]+-\d", text) else text[0].upper() + text[1:]


SCENES = (
    Scene("battery report", {
        "soc": Fact(number(9, 98, " percent"), "the state of charge of {dev}", (
            "At {t} {dev} reported a state of charge of {soc}.",
            "The gauge on {dev} shows a state of charge of {soc}.",
            "{dev} starts the shift with a state of charge of {soc}.",
            "Morning round, {t}: {dev} has a state of charge of {soc}.")),
        "volts": Fact(tenths(22, 28, " V"), "the pack voltage of {dev}", (
            "The pack voltage is {volts} under load.", "Its pack voltage reads {volts}.",
            "We measured a pack voltage of {volts} at the terminals."), ("What pack voltage does {dev} show?",)),
        "cells": Fact(number(2, 41, " C"), "the cell temperature of {dev}", (
            "Its cell temperature is {cells}, inside the allowed band.", "The cell temperature has settled at {cells}.")),
        "reserve": Fact(number(10, 45, " percent", 5), "the reserve of {dev}", (
            "Its policy keeps a reserve of {reserve}.", "The reserve is set to {reserve} for this pack.",
            "No job may take it below its reserve of {reserve}."), ("Which reserve does the policy keep on {dev}?",)),
        "left": Fact(number(3, 60, " hours"), "the run time left on {dev}", (
            "At the present draw the run time left is {left}.", "The planner sees {left} of run time left."),
            ("How long can {dev} still run?",)),
    }, extras={"t": clock(4, 9)}),
    Scene("solar yield", {
        "yield": Fact(number(120, 980, " Wh", 10), "the solar yield of {dev}", (
            "The panel of {dev} brought a solar yield of {yield} yesterday.",
            "Solar yield of {dev} for {day}: {yield}.",
            "On {day} {dev} logged a solar yield of {yield}."), ("How much energy did the panel of {dev} bring?",)),
        "sky": Fact(one_of("clear", "overcast", "hazy", "rainy", "foggy", "partly cloudy"), "the sky over {dev}", (
            "The sky was {sky} for most of the day.", "Observers call the sky {sky}."),
            ("How was the sky over {dev}?",)),
        "peak": Fact(number(35, 190, " W"), "the peak panel power of {dev}", (
            "Peak panel power was {peak} at noon.", "The charger saw a peak panel power of {peak}."),
            ("What peak did the charger of {dev} see?",)),
        "full": Fact(clock(11, 17), "the time of full charge on {dev}", (
            "The battery was full at {full}.", "Full charge came at {full}."), ("When was the battery of {dev} full?",)),
        "tilt": Fact(number(15, 65, " degrees", 5), "the panel tilt of {dev}", (
            "The panel tilt is {tilt} for this season.", "We left the panel tilt at {tilt}."),
            ("At what tilt does the panel of {dev} stand?",)),
    }, prefixes=("mast", "buoy", "barn", "gate", "pump"), extras={"day": one_of(*DAYS)}),
    Scene("power mode", {
        "mode": Fact(one_of("7 W", "10 W", "15 W", "20 W", "25 W", "MAXN", "30 W", "50 W"), "the power mode of {dev}", (
            "{who} set the power mode of {dev} to {mode}.", "{dev} now runs in power mode {mode}.",
            "The power mode of {dev} was changed to {mode} at {t}."), ("In which power mode does {dev} run?",)),
        "board": Fact(one_of(*BOARDS), "the board of {dev}", (
            "The board is a {board} in a sealed case.", "Inside is a {board}.", "This board is a {board}."),
            ("Which board is {dev}?", "What board does {dev} have?")),
        "draw": Fact(tenths(8, 28, " W"), "the mean draw of {dev}", (
            "Mean draw under training is {draw}.", "With a job running its mean draw is {draw}.",),
            ("How much does {dev} draw on average?",)),
        "idle": Fact(tenths(2, 7, " W"), "the idle draw of {dev}", (
            "Idle draw is {idle}.", "With no job its idle draw falls to {idle}."),
            ("What does {dev} draw when idle?",)),
        "cores": Fact(one_of("2", "4", "6", "8", "12"), "the number of active cores on {dev}", (
            "The mode leaves {cores} cores active.", "In this mode {cores} cores stay active."),
            ("How many cores are active on {dev}?",)),
    }, prefixes=("lab", "van", "gate", "barn"), extras={"who": one_of(*PEOPLE), "t": clock(7, 18)}),
    Scene("thermal throttling", {
        "hot": Fact(number(68, 99, " C"), "the peak temperature of {dev}", (
            "{dev} reached a peak temperature of {hot} at {t}.", "At {t} the peak temperature of {dev} was {hot}.",
            "Thermal alarm on {dev}: peak temperature {hot}."), ("How hot did {dev} get?",)),
        "mhz": Fact(number(420, 1480, " MHz", 20), "the throttled clock of {dev}", (
            "The kernel throttled the clock to {mhz}.", "Its throttled clock was {mhz} for ten minutes."),
            ("To which clock was {dev} throttled?",)),
        "cause": Fact(one_of("a blocked fan", "dust in the filter", "direct sun", "a loose heat sink", "a wet filter",
                             "dry thermal paste", "a closed vent", "a dead fan"), "the cause of the heat on {dev}", (
            "The cause was {cause}.", "On site we found the cause: {cause}."), ("What made {dev} hot?",)),
        "limit": Fact(number(60, 90, " C", 5), "the temperature limit of {dev}", (
            "The policy has a temperature limit of {limit}.", "Its temperature limit stays at {limit}."),
            ("Which temperature limit does {dev} have?",)),
        "fixer": Fact(one_of(*PEOPLE), "the person who fixed {dev}", (
            "{fixer} fixed it the same day.", "It was fixed by {fixer}."), ("Who fixed {dev}?",)),
    }, extras={"t": clock(10, 17)}),
    Scene("uplink", {
        "signal": Fact(number(-118, -71, " dBm"), "the signal of {dev}", (
            "The LTE modem of {dev} reports a signal of {signal}.", "{dev} holds its LTE link with a signal of {signal}.",
            "Link check at {t}: {dev} has a signal of {signal}."), ("How strong is the signal of {dev}?",)),
        "carrier": Fact(one_of("Telnord", "Fjordcom", "Orbis", "Velocell", "Northlink", "Aquamobile", "Terracom"),
                        "the carrier of {dev}", (
            "The carrier is {carrier}.", "Its card is from the carrier {carrier}."), ("Which carrier does {dev} use?",)),
        "ping": Fact(number(38, 420, " ms"), "the round trip of {dev}", (
            "A round trip takes {ping}.", "The round trip to the coordinator is {ping}."),
            ("How long is a round trip to {dev}?",)),
        "used": Fact(number(12, 950, " MB"), "the data used by {dev}", (
            "It used {used} of data this week.", "Data used so far: {used}."), ("How much data did {dev} use?",)),
        "gap": Fact(number(2, 58, " minutes"), "the outage of {dev}", (
            "Last night there was an outage of {gap}.", "The link log shows an outage of {gap}."),
            ("How long was the outage of {dev}?",)),
    }, extras={"t": clock()}),
    Scene("lease", {
        "job": Fact(None, "the job on {dev}", (
            "{dev} holds the lease for {job}.", "The coordinator gave the lease for {job} to {dev}.",
            "At {t} {dev} took the lease for {job}."), ("Which job does {dev} hold?", "Whose lease is on {dev}?")),
        "hours": Fact(number(2, 72, " hours"), "the lease length on {dev}", (
            "The lease length is {hours} of powered time.", "Its lease length was set to {hours}."),
            ("How long is the lease on {dev}?",)),
        "token": Fact(number(2, 89), "the fencing token of {dev}", (
            "The fencing token is {token}.", "It works under fencing token {token}."),
            ("Which fencing token does {dev} use?",)),
        "renewed": Fact(clock(), "the last renewal on {dev}", (
            "The last renewal was at {renewed}.", "Its last renewal came at {renewed}."),
            ("When was the lease on {dev} renewed?",)),
        "state": Fact(one_of("running", "paused", "fetching", "finished", "unreachable", "placed"), "the state of {dev}", (
            "The attempt is {state}.", "Its attempt is shown as {state}."), ("What is the attempt on {dev} doing?",)),
    }, extras={"t": clock()}),
    Scene("checkpoint", {
        "step": Fact(number(20, 980, "", 10), "the checkpoint step of {dev}", (
            "{dev} wrote a checkpoint at step {step}.", "The newest checkpoint on {dev} is from step {step}.",
            "After the restart {dev} resumed at checkpoint step {step}."),
            ("At which step did {dev} write its checkpoint?",)),
        "size": Fact(number(8, 480, " MiB"), "the checkpoint size of {dev}", (
            "The checkpoint size is {size}.", "Its checkpoint size on disk is {size}."),
            ("How large is the checkpoint of {dev}?",)),
        "took": Fact(tenths(1, 19, " seconds"), "the write time on {dev}", (
            "The write time was {took}.", "Write time with fsync: {took}."), ("How long did the write take on {dev}?",)),
        "every": Fact(number(10, 200, " steps", 10), "the checkpoint cadence of {dev}", (
            "The checkpoint cadence is every {every}.", "Its cadence is one checkpoint per {every}."),
            ("How often does {dev} write a checkpoint?",)),
        "medium": Fact(one_of("NVMe drive", "SD card", "eMMC chip", "USB drive", "SATA drive"), "the disk of {dev}", (
            "The disk is the {medium}, with room to spare.", "It goes to the {medium}, which is its only disk."),
            ("Which disk does {dev} have?",)),
    }),
    Scene("metrics", {
        "interval": Fact(number(5, 60, " seconds", 5), "the scrape interval of {dev}", (
            "Prometheus scrapes {dev} with an interval of {interval}.",
            "The scrape interval of {dev} is {interval}."), ("How often does Prometheus scrape {dev}?",)),
        "port": Fact(number(9100, 9990, "", 10), "the metrics port of {dev}", (
            "The metrics port is {port}.", "Its metrics are served on port {port}."),
            ("On which port are the metrics of {dev}?",)),
        "alert": Fact(one_of("BatteryLow", "LinkDown", "BoardHot", "DiskFull", "NoSamples", "EnergyGap", "ClockDrift"),
                      "the alert on {dev}", (
            "The alert {alert} fired at {t}.", "At {t} we saw the alert {alert}."), ("Which alert fired on {dev}?",)),
        "kept": Fact(number(7, 90, " days"), "the retention for {dev}", (
            "Retention is {kept}.", "Samples have a retention of {kept}."), ("How long are samples of {dev} kept?",)),
        "lost": Fact(number(3, 890, " samples"), "the backfill of {dev}", (
            "After the outage the backfill was {lost}.", "The ring sent a backfill of {lost}."),
            ("How large was the backfill of {dev}?",)),
    }, extras={"t": clock()}),
    Scene("placement", {
        "chosen": Fact(None, "the device chosen for {job}", (
            "The planner placed {job} on {chosen}.", "{job} went to {chosen} with the objective energy.",
            "For {job} the device chosen was {chosen}."), ("Where did {job} go?", "Which device runs {job}?")),
        "planned": Fact(tenths(2, 88, " Wh"), "the predicted energy of {job}", (
            "Predicted energy is {planned}.", "The plan has a predicted energy of {planned}."),
            ("How much energy was predicted for {job}?",)),
        "spent": Fact(tenths(2, 88, " Wh"), "the measured energy of {job}", (
            "The receipt has a measured energy of {spent}.", "Measured energy was {spent}."),
            ("How much energy did {job} take?",)),
        "refused": Fact(None, "the device refused for {job}", (
            "The device {refused} was refused because of its reserve.", "It refused {refused}, which was near its reserve."),
            ("Which device was refused for {job}?",)),
        "minutes": Fact(number(11, 320, " minutes"), "the run time of {job}", (
            "Its run time was {minutes}.", "The run time came to {minutes}."), ("How long did {job} run?",)),
    }, prefixes=("job",)),
    Scene("site visit", {
        "place": Fact(one_of(*PLACES), "the site of {dev}", (
            "{dev} stands at {place}.", "We drove to {place} to look at {dev}.", "The site of {dev} is {place}."),
            ("Where does {dev} stand?", "At which site is {dev}?")),
        "visitor": Fact(one_of(*PEOPLE), "the visitor of {dev}", (
            "The visitor on {day} was {visitor}.", "{visitor} was the visitor this week."), ("Who visited {dev}?",)),
        "part": Fact(one_of("fan", "fuse", "antenna", "charge controller", "battery pack", "cable gland", "panel clamp",
                            "door seal", "heat sink"), "the part replaced on {dev}", (
            "The part replaced was the {part}.", "We replaced one part, the {part}."),
            ("Which part of {dev} was replaced?",)),
        "stay": Fact(number(15, 95, " minutes", 5), "the length of the visit to {dev}", (
            "The visit took {stay}.", "All in all the visit lasted {stay}."), ("How long was the visit to {dev}?",)),
        "next": Fact(one_of("January", "March", "April", "May", "June", "August", "September", "October"),
                     "the month of the next visit to {dev}", (
            "The next visit is due in {next}.", "We come back in {next}."), ("When is the next visit to {dev} due?",)),
    }, extras={"day": one_of(*DAYS)}),
    Scene("training run", {
        "model": Fact(one_of(*MODELS), "the model on {dev}", (
            "{dev} fine-tunes the model {model}.", "The model on {dev} is {model}.",
            "Since {t} {dev} trains the model {model}."), ("Which model does {dev} train?",)),
        "loss": Fact(tenths(1, 6), "the final loss of {dev}", (
            "The final loss was {loss}.", "It ended with a final loss of {loss}."), ("What loss did {dev} reach?",)),
        "speed": Fact(number(45, 880, " tokens per second", 5), "the speed of {dev}", (
            "The speed is {speed}.", "We saw a speed of {speed}."), ("How fast does {dev} train?",)),
        "rows": Fact(number(500, 9500, " examples", 500), "the data size on {dev}", (
            "The data set has {rows}.", "It works through {rows}."), ("How many examples does {dev} train on?",)),
        "batch": Fact(one_of("2", "4", "8", "12", "16", "32"), "the batch size on {dev}", (
            "The batch size is {batch}.", "It uses a batch size of {batch}."), ("Which batch size does {dev} use?",)),
    }, prefixes=("nx", "orin", "pi", "lab", "van"), extras={"t": clock()}),
    Scene("cooling", {
        "fan": Fact(number(20, 95, " percent", 5), "the fan speed of {dev}", (
            "The fan speed of {dev} is {fan}.", "{dev} runs with a fan speed of {fan}."), ("How fast is the fan of {dev}?",)),
        "board": Fact(number(38, 84, " C"), "the board temperature of {dev}", (
            "Board temperature is {board}.", "The board temperature stays at {board}."), ("How warm is the board of {dev}?",)),
        "air": Fact(number(-12, 37, " C"), "the air temperature at {dev}", (
            "Air temperature outside is {air}.", "The air temperature was {air} at {t}."), ("How warm is the air at {dev}?",)),
        "case": Fact(one_of("aluminium", "steel", "plastic", "wooden", "open"), "the case of {dev}", (
            "It sits in a case that is {case}.", "The case is {case}."), ("What kind of case has {dev}?",)),
    }, extras={"t": clock(10, 17)}),
    Scene("update", {
        "version": Fact(lambda rng: f"{rng.randint(4, 7)}.{rng.randint(0, 9)}", "the software version of {dev}", (
            "{dev} was updated to software version {version}.", "The software version of {dev} is now {version}.",
            "{who} moved {dev} to software version {version}."), ("Which version runs on {dev}?",)),
        "down": Fact(number(40, 290, " seconds", 10), "the reboot time of {dev}", (
            "The reboot took {down}.", "Its reboot time was {down}."), ("How long was the reboot of {dev}?",)),
        "when": Fact(one_of(*DAYS), "the update day of {dev}", (
            "The update was done on {when}.", "It was updated on {when}."), ("On which day was {dev} updated?",)),
        "free": Fact(number(2, 98, " GiB"), "the free space on {dev}", (
            "Free space is {free}.", "This leaves {free} of free space."), ("How much space is free on {dev}?",)),
        "drift": Fact(number(1, 59, " seconds"), "the clock drift of {dev}", (
            "Its clock drift was {drift}.", "We corrected a clock drift of {drift}."), ("How far was the clock of {dev} off?",)),
    }, extras={"who": one_of(*PEOPLE)}),
    Scene("brown-out", {
        "at": Fact(clock(), "the time of the brown-out on {dev}", (
            "{dev} had a brown-out at {at}.", "A brown-out stopped {dev} at {at}.",
            "The brown-out on {dev} came at {at}."), ("When did {dev} have a brown-out?",)),
        "low": Fact(tenths(9, 12, " V"), "the lowest voltage of {dev}", (
            "The lowest voltage was {low}.", "Its supply fell to a lowest voltage of {low}."),
            ("How low did the voltage of {dev} fall?",)),
        "lost": Fact(number(2, 39, " steps"), "the work lost on {dev}", (
            "The work lost was {lost}.", "It lost {lost} of work."), ("How much work did {dev} lose?",)),
        "back": Fact(clock(), "the return of {dev}", (
            "It was back at {back}.", "The agent came back at {back}."), ("When was {dev} back?",)),
        "why": Fact(one_of("snow on the panel", "an old pack", "a stuck relay", "a bad fuse", "a long cloudy spell",
                           "a worn cable", "a pump on the same pack"), "the reason of the brown-out on {dev}", (
            "The reason was {why}.", "We found the reason: {why}."), ("Why did {dev} have a brown-out?",)),
    }),
    Scene("quantized inference", {
        "model": Fact(one_of(*MODELS), "the model served by {dev}", (
            "{dev} serves the model {model}.", "Batch prompts on {dev} use the model {model}."),
            ("Which model does {dev} serve?",)),
        "bits": Fact(one_of("int8", "int4", "FP16", "FP32", "BF16"), "the precision on {dev}", (
            "The precision is {bits}.", "It was loaded with precision {bits}."), ("Which precision does {dev} use?",)),
        "speed": Fact(tenths(2, 48, " tokens per second"), "the decode speed of {dev}", (
            "Decode speed is {speed}.", "It has a decode speed of {speed}."), ("How fast does {dev} decode?",)),
        "cost": Fact(tenths(1, 9, " J"), "the energy per token of {dev}", (
            "Energy per token is {cost}.", "Each token takes an energy of {cost}."), ("What does a token cost on {dev}?",)),
        "ram": Fact(number(310, 3900, " MiB", 10), "the memory use of {dev}", (
            "Memory use is {ram}.", "The runner has a memory use of {ram}."), ("How much memory does {dev} use?",)),
    }, prefixes=("nx", "orin", "pi", "lab", "van")),
    Scene("handover", {
        "owner": Fact(one_of(*PEOPLE), "the owner of {dev}", (
            "The owner of {dev} is {owner}.", "{owner} is the owner of {dev} from {day}."), ("Who owns {dev}?",)),
        "first": Fact(one_of("clean the panel", "change the fuse", "check the antenna", "read the meter",
                             "swap the battery", "drain the device", "update the policy", "close the vent"),
                      "the first task on {dev}", (
            "The first task is to {first}.", "Please {first} as the first task."), ("What must be done first on {dev}?",)),
        "spare": Fact(one_of("locker", "van", "depot", "office", "barn", "shed"), "the place of the spare for {dev}", (
            "A spare lies in the {spare}.", "The spare is in the {spare}."), ("Where is the spare for {dev}?",)),
        "phone": Fact(number(1010, 9990, "", 10), "the phone number for {dev}", (
            "Call phone number {phone} before you start.", "The phone number is {phone}."),
            ("Which number should one call about {dev}?",)),
    }, extras={"day": one_of(*DAYS)}),
)


def _values(rng, split, scene):
    subject = "job" if scene.prefixes == ("job",) else "dev"
    low, high = (100, 999) if subject == "job" else (1, 99)
    values = {subject: _identifier(rng, split, scene.prefixes, low, high)}
    for key, draw in scene.extras.items():
        values[key] = draw(rng)
    for key, fact in scene.facts.items():
        if fact.draw is not None:
            values[key] = fact.draw(rng)
        elif key == "job":
            values[key] = _identifier(rng, split, ("job",), 100, 999)
        else:
            values[key] = _identifier(rng, split, KINDS, 1, 99)
    return values


def _append(text, template, values, starts, keys):
    """Adds one sentence and notes where the values of `keys` begin."""
    pieces = re.split(r"\{(\w+)\}", template)
    sentence, marks = "", {}
    for i, piece in enumerate(pieces):
        if i % 2:
            marks[piece] = len(sentence)
            piece = values[piece]
        sentence += piece
    sentence = sentence_case(sentence)
    base = len(text) + (1 if text else 0)
    for key in keys:
        if key in marks:
            starts[key] = base + marks[key]
    return f"{text} {sentence}" if text else sentence


def draw_note(rng, split, scene=None, sentences=None):
    """A paragraph of one scene: its opening fact, then one to three of the others, never all of them."""
    scene = scene or rng.choice(SCENES)
    values = _values(rng, split, scene)
    first, *others = scene.facts
    stated = rng.sample(others, min(len(others) - 1, sentences or rng.choice((1, 2, 2, 3))))
    text, starts = "", {}
    for key in [first, *stated]:
        text = _append(text, rng.choice(scene.facts[key].sentences), values, starts, scene.facts)
    unsaid = [key for key in scene.facts if key not in starts]
    return Note(scene.topic, values, text, starts, unsaid, scene)


def draw_pair(rng, split):
    """Two devices in one paragraph: the reader must keep them apart."""
    scene = rng.choice([s for s in SCENES if s.prefixes != ("job",)])
    notes = []
    while len(notes) < 2:
        note = draw_note(rng, split, scene, 1)
        if not notes or note.values["dev"] != notes[0].values["dev"]:
            notes.append(note)
    offset = len(notes[0].text) + 1
    notes[1].starts = {key: start + offset for key, start in notes[1].starts.items()}
    notes[0].text = notes[1].text = f"{notes[0].text} {notes[1].text}"
    return notes
