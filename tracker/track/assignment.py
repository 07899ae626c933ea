"""The one-to-one choice, compiled by numba: connected components, and shortest augmenting paths in each.

Like `tracker.track.kernels`, of which it is a part, imported by that file alone.
"""

from __future__ import annotations

import numpy as np

from tracker.track.jit import Floats, Indices, inner, kernel


@inner
def augment(cost: Floats, row: int, u: Floats, v: Floats, path: Indices, row_of: Indices, column_of: Indices) -> None:
    """One shortest augmenting path from `row`, and the new prices: the inner step of `assign`."""
    columns = cost.shape[1]
    left, width = np.arange(columns - 1, -1, -1), columns
    shortest = np.full(columns, np.inf)
    columns_seen = np.zeros(columns, np.bool_)
    i, sink, least = row, -1, 0.0
    while sink < 0:
        best, lowest = -1, np.inf
        for place in range(width):
            j = left[place]
            length = least + cost[i, j] - u[i] - v[j]
            if length < shortest[j]:
                path[j], shortest[j] = i, length
            if shortest[j] < lowest or (shortest[j] == lowest and row_of[j] < 0):
                best, lowest = place, shortest[j]
        least, j = lowest, left[best]
        columns_seen[j] = True
        width -= 1
        left[best] = left[width]
        if row_of[j] < 0:
            sink = j
        else:
            i = row_of[j]
    u[row] += least
    for j in np.flatnonzero(columns_seen):
        if row_of[j] >= 0:
            u[row_of[j]] += least - shortest[j]
        v[j] -= least - shortest[j]
    i, j = -1, sink
    while i != row:
        i = path[j]
        row_of[j] = i
        column_of[i], j = j, column_of[i]


@inner
def assign(cost: Floats) -> Indices:
    """Column of every row (n,) for the least total `cost` (n, m), n <= m, finite.

    Shortest augmenting paths after Jonker and Volgenant in Crouse's form ("On implementing 2D rectangular assignment
    algorithms", IEEE TAES 2016), which is SciPy's too: where totals tie, both choose the same.
    """
    n, m = cost.shape
    u, v, path = np.zeros(n), np.zeros(m), np.full(m, -1)
    row_of, column_of = np.full(m, -1), np.full(n, -1)
    for row in range(n):
        augment(cost, row, u, v, path, row_of, column_of)
    return column_of


@inner
def settle(rows: Indices, columns: Indices, gain: Floats, places: Indices, n: int, m: int, column_of: Indices) -> None:
    """The best choice among the pairs (K,) of a component of n rows and m columns, written into `column_of` by row.

    places: (K, 2), which of the component's rows and columns a pair's are.
    """
    if n == 1 or m == 1:
        best = 0
        for k in range(1, gain.shape[0]):
            if gain[k] > gain[best]:
                best = k
        column_of[rows[best]] = columns[best]
        return
    swap = n > m
    cost = np.zeros((m, n) if swap else (n, m))
    for k in range(gain.shape[0]):
        i, j = places[k, 0], places[k, 1]
        if swap:
            i, j = j, i
        cost[i, j] = -gain[k]
    chosen = assign(cost)
    for k in range(gain.shape[0]):
        i, j = places[k, 0], places[k, 1]
        if (swap and chosen[j] == i) or (not swap and chosen[i] == j):
            column_of[rows[k]] = columns[k]


@inner
def root(parents: Indices, name: int) -> int:
    """The representative of `name` in a forest of disjoint sets, halving the way there."""
    while parents[name] != name:
        parents[name] = parents[parents[name]]
        name = parents[name]
    return name


@inner
def components(rows: Indices, columns: Indices, height: int, width: int) -> tuple[Indices, Indices, Indices, Indices]:
    """Connected components of the pairs (K,), of rows below `height` and columns below `width`.

    Returns `first` (height,), the first pair of the component whose lowest row it is, or -1; `after` (K,), the next
    pair of the same component, or -1; `places` (K, 2) of a pair among its component's rows and columns; `sizes` (., 2),
    numbers of these by lowest row.
    """
    count = rows.shape[0]
    parents = np.arange(height + width)
    for k in range(count):
        one, other = root(parents, rows[k]), root(parents, height + columns[k])
        parents[max(one, other)] = min(one, other)
    sizes, place = np.zeros((height + width, 2), np.int64), np.empty(height + width, np.int64)
    for node in range(height + width):
        name, side = root(parents, node), int(node >= height)
        place[node] = sizes[name, side]
        sizes[name, side] += 1
    after, first, places = np.empty(count, np.int64), np.full(height, -1), np.empty((count, 2), np.int64)
    for k in range(count - 1, -1, -1):
        name = parents[rows[k]]
        places[k, 0], places[k, 1] = place[rows[k]], place[height + columns[k]]
        after[k], first[name] = first[name], k
    return first, after, places, sizes


@inner
def two_best(names: Indices, gain: Floats, count: int) -> Floats:
    """The two largest gains of each name below `count`, (count, 2), 0 where there are none."""
    best = np.zeros((count, 2))
    for k in range(names.shape[0]):
        name, value = names[k], gain[k]
        if value > best[name, 0]:
            best[name, 1], best[name, 0] = best[name, 0], value
        elif value > best[name, 1]:
            best[name, 1] = value
    return best


@inner
def take_sure(rows: Indices, columns: Indices, gain: Floats, column_of: Indices, width: int) -> Indices:
    """Pairs (K,) in every best choice go into `column_of` by row; returns which of the others are still open."""
    of_row, of_column = two_best(rows, gain, column_of.shape[0]), two_best(columns, gain, width)
    free = np.ones(width, np.bool_)
    for k in range(rows.shape[0]):
        of_one, of_other = of_row[rows[k]], of_column[columns[k]]
        beside = of_one[int(gain[k] == of_one[0])] + of_other[int(gain[k] == of_other[0])]
        if gain[k] > beside:
            column_of[rows[k]], free[columns[k]] = columns[k], False
    left, count = np.empty(rows.shape[0], np.int64), 0
    for k in range(rows.shape[0]):
        left[count] = k
        count += gain[k] > 0 and column_of[rows[k]] < 0 and free[columns[k]]
    return left[:count]


@inner
def settle_all(rows: Indices, columns: Indices, gain: Floats, column_of: Indices, width: int) -> None:
    """The best choice among the pairs (K,), component by component, written into `column_of` by row."""
    first, after, places, sizes = components(rows, columns, column_of.shape[0], width)
    members = np.empty(rows.shape[0], np.int64)
    for name in range(first.shape[0]):
        k, size = first[name], 0
        while k >= 0:
            members[size], size, k = k, size + 1, after[k]
        if size == 1:
            column_of[rows[members[0]]] = columns[members[0]]
        elif size > 1:
            those = members[:size]
            n, m = sizes[name]
            settle(rows[those], columns[those], gain[those], places[those], n, m, column_of)


@kernel
def choose(rows: Indices, columns: Indices, gain: Floats) -> tuple[Indices, Indices]:
    """`associate.choose`: the sure pairs of (K,), then each connected component of the others for itself."""
    height, width = 0, 0
    for k in range(rows.shape[0]):
        height, width = max(height, rows[k] + 1), max(width, columns[k] + 1)
    column_of = np.full(height, -1)
    left = take_sure(rows, columns, gain, column_of, width)
    if left.shape[0] > 0:
        settle_all(rows[left], columns[left], gain[left], column_of, width)
    chosen, theirs, count = np.empty(height, np.int64), np.empty(height, np.int64), 0
    for row in range(height):
        if column_of[row] >= 0:
            chosen[count], theirs[count], count = row, column_of[row], count + 1
    return chosen[:count], theirs[:count]
