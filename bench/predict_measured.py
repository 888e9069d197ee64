# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Plays boards that others measured to the scheduler's regression over modes (wattle-predict-modes) and to its peers."""

import csv
import math
import statistics
import subprocess

import predict_peers
import texts
from figures import ROOT, add

DATA = ROOT / "bench/data/boards"
PI5 = texts.FOLDER / "data/profiles/pi5_llm/pi5_llm_energy_qwen_gemma.csv"
ORACLE_DEGREES = 2, 3  # Degrees of the quantile regressions; a figure's key uses the first.
INTERVAL90 = 1.645  # Half a normal variable's 90 % interval, in deviations.


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def loudva():
    """{board: {cell: (seconds, joules)}}: Inception v3 on a Jetson Nano and a Xavier NX, by GPU clock and concurrent requests."""
    boards = {}
    with open(DATA / "nx_nano_inception.csv", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            cell = (float(row["Frequency"]) / 1e6, 0.0, float(row["Batch Size"]), 0.0, 0.0)
            boards.setdefault(row["Directory"], {})[cell] = (float(row["Latency"]), float(row["Energy"]))
    return boards


def orin_llm():
    """The measurements of Llama 3.2 1B on one Jetson AGX Orin, by framework and quantization; cells are lengths of prompt and answer, means of 15 runs.
    Runs with too few samples of power count only where a cell has no others."""
    runs = {}
    with open(DATA / "agx_orin_llama1b.csv", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            cell = (0.0, 0.0, 0.0, float(row["prompt_tokens"]), float(row["gen_tokens"]))
            joules = (float(row["prefill_energy_mj"]) + float(row["decode_energy_mj"])) / 1e3
            few = row["pp_samples_warning"] == "1" or row["dec_samples_warning"] == "1"
            board = f"{row['framework']}-{row['quantization']}"
            runs.setdefault(board, {}).setdefault(cell, []).append((float(row["total_latency_ms"]) / 1e3, joules, few))
    def cell_of(those):
        sure = [run for run in those if not run[2]] or those
        return mean(run[0] for run in those), mean(run[1] for run in sure)
    return {board: {cell: cell_of(those) for cell, those in cells.items()} for board, cells in runs.items()}


def pi5_llm(held_out):
    """The measurements of two models on a Raspberry Pi 5; a cell is a benchmark, whose number is the geometric mean of the others' seconds for an answer."""
    with open(PI5, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    name = lambda row: "-".join(row[key] for key in ("campaign", "model", "quant", "threads"))
    names = sorted({name(row) for row in rows})
    board = names[held_out % len(names)]
    size = {benchmark: math.exp(mean(math.log(float(row["latency_s"])) for row in rows if row["benchmark"] == benchmark and name(row) != board))
            for benchmark in {row["benchmark"] for row in rows}}
    boards = {}
    for row in rows:
        seconds = float(row["latency_s"])
        boards.setdefault(name(row), {})[(0.0, 0.0, 0.0, 0.0, size[row["benchmark"]])] = (seconds, seconds * float(row["avg_power_w"]))
    return boards, board


class Regression:
    """The scheduler's regression. All its data about a board come from tell()."""

    def __init__(self):
        self.cells = []
        self.process = subprocess.Popen([ROOT / "build/release/bin/wattle-predict-modes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def reset(self, cells):
        self.cells = cells
        self.say("reset", *(f"cell {numbers(cell)} 1" for cell in cells))

    def tell(self, board, cell, value):
        seconds, joules = value
        self.say(f"saw {board} {numbers(cell)} {seconds!r} {joules / seconds!r}")

    def ask(self, board):
        """[(ln seconds, deviation, ln watts, deviation)] of the cells, and the number of the cell to measure next."""
        self.say(f"ask {board}")
        self.process.stdin.flush()
        lines = [self.process.stdout.readline() for _ in [*self.cells, None]]
        if not lines[-1]:
            raise SystemExit("wattle-predict-modes ended; its error is above")
        return [tuple(map(float, line.split())) for line in lines[:-1]], int(lines[-1])

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))


def numbers(cell):
    return " ".join(repr(number) for number in cell)


def probed_by_itself(regression, boards, board, teachers, first, counts):
    """{count: (estimates, probed cells)} of a board of which the first probe is drawn and the regression chooses the others."""
    cells = sorted(boards[board])
    regression.reset(cells)
    for other in teachers:
        for cell, value in sorted(boards[other].items()):
            regression.tell(other, cell, value)
    probed, after = [cells[first % len(cells)]], {}
    while True:
        regression.tell(board, probed[-1], boards[board][probed[-1]])
        estimates, chosen = regression.ask(board)
        if len(probed) in counts:
            after[len(probed)] = dict(zip(cells, estimates)), list(probed)
        if len(probed) == max(counts):
            return after
        probed.append(cells[chosen])


def probed_at_random(regression, boards, board, probed):
    """The estimates after only these probes of the board."""
    cells = sorted(boards[board])
    regression.reset(cells)
    for cell in probed:
        regression.tell(board, cell, boards[board][cell])
    return dict(zip(cells, regression.ask(board)[0]))


def seconds_of(estimate):
    return math.exp(estimate[0])


def joules_of(estimate):
    return math.exp(estimate[0] + estimate[2])


QUANTITIES = {"time": (0, seconds_of, lambda e: (e[0], e[1])),
              "energy": (1, joules_of, lambda e: (e[0] + e[2], math.hypot(e[1], e[3])))}


def errors(board, probed, predicted):
    """Mean absolute error of the cells that were not probed, in percent, of seconds, watts and joules. predicted: of a cell, (seconds, joules)."""
    rest = [cell for cell in board if cell not in probed]
    told = {cell: predicted(cell) for cell in rest}
    return {"time": mean(100 * abs(told[cell][0] / board[cell][0] - 1) for cell in rest),
            "power": mean(100 * abs((told[cell][1] / told[cell][0]) / (board[cell][1] / board[cell][0]) - 1) for cell in rest),
            "energy": mean(100 * abs(told[cell][1] / board[cell][1] - 1) for cell in rest)}


def covered(board, probed, estimates):
    """{quantity: [whether the 90 % interval of a cell that was not probed holds its value]}"""
    held = {}
    for quantity, (index, _, interval) in QUANTITIES.items():
        for cell, estimate in estimates.items():
            if cell not in probed:
                middle, deviation = interval(estimate)
                held.setdefault(quantity, []).append(abs(math.log(board[cell][index]) - middle) <= INTERVAL90 * deviation)
    return held


def widths(probed, estimates, oracle):
    """{quantity: [(width of the 90 % interval of the logarithm, the oracle's by degree …)]} of the cells that were not probed."""
    return {quantity: [(2 * INTERVAL90 * interval(estimate)[1], *(of_degree[cell] for of_degree in oracle[quantity]))
                       for cell, estimate in estimates.items() if cell not in probed]
            for quantity, (_, _, interval) in QUANTITIES.items()}


def oracles(boards):
    """{board: {quantity: [{cell: width} by degree]}} of quantile regressions over all cells of each board."""
    return {name: {quantity: [predict_peers.oracle_widths({cell: values[index] for cell, values in board.items()}, degree)
                              for degree in ORACLE_DEGREES]
                   for quantity, (index, _, _) in QUANTITIES.items()}
            for name, board in boards.items()}


def peers_errors(boards, board, probed, draw):
    """{peer: errors} on the same probes, of the completion on the first two of them."""
    truth = boards[board]
    others = [boards[other] for other in sorted(boards) if other != board]
    made = {"linear regression": predict_peers.linear_regression, "forest": lambda probes: predict_peers.forest(probes, draw),
            "nearest cell": predict_peers.nearest, "4-term fit": predict_peers.terms}
    found = {}
    for name, make in made.items():
        by_time, by_joules = (make({cell: truth[cell][index] for cell in probed}) for index in (0, 1))
        found[name] = errors(truth, probed, lambda cell: (by_time(cell), by_joules(cell)))
    by_time, by_joules = (predict_peers.completion({cell: truth[cell][index] for cell in probed[:2]},
                                                   [{cell: value[index] for cell, value in other.items()} for other in others])
                          for index in (0, 1))
    found["completion of two runs"] = errors(truth, probed, lambda cell: (by_time(cell), by_joules(cell)))
    return found


def regret(board, probed, estimates):
    """By how many percent the joules of one request in the cell that looks best exceed those in the best cell. A probed cell is known."""
    joules = lambda cell: board[cell][1] / cell[2]
    looks = {cell: joules(cell) if cell in probed else joules_of(estimate) / cell[2] for cell, estimate in estimates.items()}
    return 100 * (joules(min(looks, key=looks.get)) / min(map(joules, board)) - 1)


def regret_of_all(regression, board, truth):
    """The regret of a regression that has every cell and smooths them: the part that no choice of probes can avoid."""
    regression.reset(sorted(truth))
    for cell, value in truth.items():
        regression.tell(board, cell, value)
    return regret(truth, [], dict(zip(sorted(truth), regression.ask(board)[0])))


class Bench:
    """Collects the results of each seed: values[key][seed], peers[key][peer][seed], and the intervals of all cells by level, with their widths."""

    def __init__(self):
        self.values, self.peers, self.levels, self.widths = {}, {}, {}, {}

    def seed_done(self, found):
        """found: {key: [values of the boards]} of one seed, peers as {key: {peer: [values]}}."""
        for key, values in found.items():
            if isinstance(values, dict):
                for peer, those in values.items():
                    self.peers.setdefault(key, {}).setdefault(peer, []).append(mean(those))
            else:
                self.values.setdefault(key, []).append(mean(values))

    def add_all(self, figures):
        for key, values in self.values.items():
            peers = self.peers.get(key + ".peers", {})
            add(figures, key, values, "%", ", ".join(f"{name} {statistics.median(those):.3g}" for name, those in peers.items()), digits=2)
        shares = {level: 100 * mean(held) for level, held in self.levels.items()}
        add(figures, "interval90_coverage_percent", [100 * mean(h for held in self.levels.values() for h in held)], "%", "", digits=1)
        add(figures, "interval90_level_min_percent", [min(shares.values())], "%",
            ", ".join(f"{level} {share:.1f}" for level, share in shares.items()), digits=1)
        ratio = lambda found, degree=1: sum(widths[0] for widths in found) / sum(widths[degree] for widths in found)
        everything = [widths for found in self.widths.values() for widths in found]
        add(figures, "interval90_width_vs_oracle", [ratio(everything)], "", f"over an oracle with cubes {ratio(everything, 2):.2f}; "
            + ", ".join(f"{level} {ratio(found):.2f} and {ratio(found, 2):.2f}" for level, found in self.widths.items()), digits=2)


def measure(bench, regression, boards, data, counts, draw, teach, oracle):
    """One seed of one data set: every board is new once. counts: {"p10": 10}; teach: whether the other boards are known; oracle: of oracles()."""
    found = {}
    keys = {"loudva": {"latency_mape": "time", "energy_mape": "energy"}}.get(
        data, {"time_mape": "time", "power_mape": "power", "energy_mape": "energy"})
    for board in sorted(boards):
        truth, cells = boards[board], sorted(boards[board])
        teachers = [other for other in sorted(boards) if other != board] if teach else []
        after = probed_by_itself(regression, boards, board, teachers, draw.randrange(len(cells)), set(counts.values()))
        for name, count in counts.items():
            estimates, probed = after[count]
            drawn = draw.sample(cells, count)
            at_random = probed_at_random(regression, boards, board, drawn)
            ours = errors(truth, probed, lambda cell: (seconds_of(estimates[cell]), joules_of(estimates[cell])))
            theirs = {"ours at random, alone": errors(truth, drawn, lambda cell: (seconds_of(at_random[cell]), joules_of(at_random[cell]))),
                      **peers_errors(boards, board, drawn, draw)}
            for key, quantity in keys.items():
                full = f"{data}.{name}.{key}"
                found.setdefault(full, []).append(ours[quantity])
                for peer, of_peer in theirs.items():
                    found.setdefault(full + ".peers", {}).setdefault(peer, []).append(of_peer[quantity])
            for quantity, held in covered(truth, probed, estimates).items():
                bench.levels.setdefault(f"{data}.{name}.{quantity}", []).extend(held)
            for quantity, of_cells in widths(probed, estimates, oracle[board]).items():
                bench.widths.setdefault(f"{data}.{name}.{quantity}", []).extend(of_cells)
            if data == "loudva" and name == "p10":
                found.setdefault("profile.regret_p10_percent", []).append(regret(truth, probed, estimates))
    bench.seed_done(found)


def refuse_clairvoyance(regression, boards, draw):
    """Ends the bench if a prediction depends on a cell that was not probed."""
    board = sorted(boards)[0]
    first = draw.randrange(len(boards[board]))
    before = probed_by_itself(regression, boards, board, [], first, {6})[6]
    shuffled = {cell: value if cell in before[1] else (value[0] * draw.uniform(0.1, 10), value[1] * draw.uniform(0.1, 10))
                for cell, value in boards[board].items()}
    if probed_by_itself(regression, {**boards, board: shuffled}, board, [], first, {6})[6] != before:
        raise SystemExit("predictions changed with values that were not measured: the hold-out leaks")


def measure_all(draw, seeds, figures):
    bench, regression = Bench(), Regression()
    if not PI5.exists():
        print(f"  pi5_llm: left out, {PI5} is not there (bench/data/README.md)")
    jetsons, orin = loudva(), orin_llm()
    of_jetsons, of_orin = oracles(jetsons), oracles(orin)
    refuse_clairvoyance(regression, jetsons, draw)
    bench.peers["profile.regret_p10_percent.peers"] = {
        "the same, told every cell": [mean(regret_of_all(regression, board, jetsons[board]) for board in sorted(jetsons))]}
    for seed in range(seeds):
        measure(bench, regression, jetsons, "loudva", {"p10": 10, "p20": 20}, draw, teach=True, oracle=of_jetsons)
        measure(bench, regression, orin, "orin_llm", {"p10": 10}, draw, teach=False, oracle=of_orin)
        measure(bench, regression, orin, "orin_llm", {"p4": 4}, draw, teach=True, oracle=of_orin)
        found = {"pi5_llm.p2.time_mape": [], "pi5_llm.p2.energy_mape": []} if PI5.exists() else {}
        for held_out in range(6) if PI5.exists() else ():
            boards, board = pi5_llm(held_out)
            others = [other for other in boards if other != board]
            estimates, probed = probed_by_itself(regression, boards, board, others, draw.randrange(5), {2})[2]
            ours = errors(boards[board], probed, lambda cell: (seconds_of(estimates[cell]), joules_of(estimates[cell])))
            for key in found:
                found[key].append(ours[key.split(".")[-1].split("_")[0]])
        bench.seed_done(found)
    bench.add_all(figures)
