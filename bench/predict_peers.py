# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The peers of the predictor in ./dev bench predict. Each peer gets the probed cells of a board, {cell: value}, and gives a function
from a cell to the value; a cell is (clock, cores, batch, length, units), with 0 for what plays no part. Value: seconds, or joules."""

import itertools
import math


def solve(matrix, values, ridge=1e-9):
    """x of matrix x = values in the sense of least squares, by the normal equations and Gauss with pivots."""
    width = len(matrix[0])
    system = [[sum(row[i] * row[j] for row in matrix) for j in range(width)] + [sum(row[i] * v for row, v in zip(matrix, values))]
              for i in range(width)]
    scale = max(system[i][i] for i in range(width)) or 1.0
    for i in range(width):
        system[i][i] += ridge * scale
    for i in range(width):
        pivot = max(range(i, width), key=lambda row: abs(system[row][i]))
        system[i], system[pivot] = system[pivot], system[i]
        for row in range(width):
            if row != i:
                factor = system[row][i] / system[i][i]
                system[row] = [a - factor * b for a, b in zip(system[row], system[i])]
    return [system[i][width] / system[i][i] for i in range(width)]


def linear_regression(probes):
    """The value's logarithm as a linear function of the logarithms of the cell's numbers."""
    features = lambda cell: [1.0] + [math.log(number) for number in cell if number]
    weights = solve([features(cell) for cell in probes], [math.log(value) for value in probes.values()])
    return lambda cell: math.exp(sum(w * x for w, x in zip(weights, features(cell))))


def quantile_regression(rows, values, share, rounds=400, smallest=1e-6):
    """Weights w for which `share` of the values lie below rows w, with the least sum of weighted distances. By the MM steps of Hunter and Lange,
    "Quantile regression via an MM algorithm" (2000): each is a weighted least squares."""
    weights = solve(rows, values)
    for _ in range(rounds):
        distances = [smallest + abs(v - sum(w * x for w, x in zip(weights, row))) for row, v in zip(rows, values)]
        weights = solve([[x / math.sqrt(d) for x in row] for row, d in zip(rows, distances)],
                        [(v + (2 * share - 1) * d) / math.sqrt(d) for v, d in zip(values, distances)])
    return weights


def oracle_widths(board, degree):
    """{cell: width} of the 90 % interval of the value's logarithm, by a regression of both quantiles over all cells of the board: it knows every
    value that it is to cover. Its terms are the products of up to `degree` logarithms of the cell's numbers."""
    def features(cell):
        logs = [math.log(number) for number in cell if number]
        return [math.prod(term) for count in range(degree + 1) for term in itertools.combinations_with_replacement(logs, count)]
    cells = sorted(board)
    rows = [features(cell) for cell in cells]
    count, width = len(rows), len(rows[0])
    means = [0.0] + [sum(row[k] for row in rows) / count for k in range(1, width)]
    spreads = [1.0] + [math.sqrt(sum((row[k] - means[k]) ** 2 for row in rows) / count) or 1.0 for k in range(1, width)]
    scaled = [[(x - m) / s for x, m, s in zip(row, means, spreads)] for row in rows]
    values = [math.log(board[cell]) for cell in cells]
    low, high = (quantile_regression(scaled, values, share) for share in (0.05, 0.95))
    return {cell: max(0.0, sum((b - a) * x for a, b, x in zip(low, high, row))) for cell, row in zip(cells, scaled)}


def terms(probes):
    """The 4-term physical fit a + b x + c y + d x y: x is the batch and y one over the clock, or both are the lengths of prompt and answer.
    Least squares of the relative error."""
    def features(cell):
        clock, _, batch, length, units = cell
        x, y = (batch, 1.0 / clock) if clock else (length, units)
        return [1.0, x, y, x * y]
    middle = [sum(features(cell)[k] for cell in probes) / len(probes) for k in range(4)]
    scaled = lambda cell: [feature / m for feature, m in zip(features(cell), middle)]
    weights = solve([[x / value for x in scaled(cell)] for cell, value in probes.items()], [1.0] * len(probes))
    return lambda cell: sum(w * x for w, x in zip(weights, scaled(cell)))


def distance(a, b):
    return sum(math.log(x / y) ** 2 for x, y in zip(a, b) if x and y)


def nearest(probes):
    """The value of the nearest measured cell."""
    return lambda cell: probes[min(probes, key=lambda probe: distance(probe, cell))]


def forest(probes, draw, trees=100):
    """A random forest of the logarithm: trees on bootstrap samples, grown until a leaf has one value."""
    def grow(samples):
        values = [value for _, value in samples]
        best = None
        for axis in range(5):
            places = sorted({cell[axis] for cell, _ in samples})
            for low, high in zip(places, places[1:]):
                at = (low + high) / 2
                sides = [[v for c, v in samples if c[axis] <= at], [v for c, v in samples if c[axis] > at]]
                loss = sum(sum((v - sum(side) / len(side)) ** 2 for v in side) for side in sides)
                if best is None or loss < best[0]:
                    best = (loss, axis, at)
        if best is None or max(values) == min(values):
            return sum(values) / len(values)
        _, axis, at = best
        return axis, at, grow([s for s in samples if s[0][axis] <= at]), grow([s for s in samples if s[0][axis] > at])

    def ask(tree, cell):
        while isinstance(tree, tuple):
            axis, at, low, high = tree
            tree = low if cell[axis] <= at else high
        return tree

    items = [(cell, math.log(value)) for cell, value in probes.items()]
    grown = [grow([draw.choice(items) for _ in items]) for _ in range(trees)]
    return lambda cell: math.exp(sum(ask(tree, cell) for tree in grown) / trees)


def completion(probes, others, rounds=30, ridge=0.1):
    """Quasar's matrix completion: boards by cells, logarithms = board + cell + one latent factor each, by alternating least squares. A cell that
    another board does not have is its nearest one. probes: two short runs; others: [{cell: value}]."""
    cells = sorted({cell for other in others for cell in other} | set(probes))
    column = {cell: number for number, cell in enumerate(cells)}
    rows = [{column[cell]: math.log(value) for cell, value in board.items()} for board in [probes, *others]]
    for row, board in zip(rows[1:], others):  # Every other board was measured in all cells.
        for cell in cells:
            if column[cell] not in row:
                row[column[cell]] = math.log(board[min(board, key=lambda known: distance(known, cell))])
    board_of = [sum(row.values()) / len(row) for row in rows]
    cell_of = [0.0] * len(cells)
    left, right = [1.0] * len(rows), [0.01 * (number % 7 - 3) for number in range(len(cells))]
    for _ in range(rounds):
        for c in range(len(cells)):
            seen = [(r, row[c]) for r, row in enumerate(rows) if c in row]
            cell_of[c], right[c] = solve_two([(1.0, left[r], value - board_of[r]) for r, value in seen], ridge)
        for r, row in enumerate(rows):
            mean = sum(value - cell_of[c] - left[r] * right[c] for c, value in row.items()) / len(row)
            board_of[r] = mean
            top = sum(right[c] * (value - board_of[r] - cell_of[c]) for c, value in row.items()) + ridge
            left[r] = top / (sum(right[c] ** 2 for c in row) + ridge)
    def value(cell):
        c = column[min(cells, key=lambda known: distance(known, cell))]
        return math.exp(board_of[0] + cell_of[c] + left[0] * right[c])
    return value


def solve_two(samples, ridge):
    """(x, y) of a x + b y = value by least squares with a ridge."""
    aa, ab, bb, av, bv = ridge, 0.0, ridge, 0.0, 0.0
    for a, b, value in samples:
        aa, ab, bb, av, bv = aa + a * a, ab + a * b, bb + b * b, av + a * value, bv + b * value
    determinant = aa * bb - ab * ab
    return (av * bb - bv * ab) / determinant, (bv * aa - av * ab) / determinant
