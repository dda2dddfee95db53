"""Writes the orders that the sales example reads: `make_sales.py > ../sales/orders.csv`.

The same bytes come out on every run: only random.Random.random() is used, whose sequence for a seed
is the same in every Python version.
"""

import datetime
import random
import sys

ROWS = 6000
REGIONS = [("North", 0.30), ("South", 0.22), ("East", 0.28), ("West", 0.20)]
# name, unit price, share of orders, month of the yearly peak
PRODUCTS = [
    ("espresso machine", 249.00, 0.08, 12),
    ("coffee beans 1 kg", 17.90, 0.42, 1),
    ("grinder", 89.50, 0.14, 11),
    ("paper filters", 4.20, 0.26, 6),
    ("cold brew jug", 32.00, 0.10, 7),
]


def pick(weighted, roll):
    for item, share in weighted:
        if roll < share:
            return item
        roll -= share
    return weighted[-1][0]


def main():
    rng = random.Random(20240101)
    start = datetime.date(2024, 1, 1)
    rows = []
    for _ in range(ROWS):
        day = start + datetime.timedelta(days=int(rng.random() * 366))
        weights = []
        for product in PRODUCTS:
            away = abs(day.month - product[3])
            season = 1.5 - 0.15 * min(away, 12 - away)
            weights.append((product, product[2] * season))
        total = sum(weight for _, weight in weights)
        name, price, _, _ = pick([(p, w / total) for p, w in weights], rng.random())
        region = pick(REGIONS, rng.random())
        units = 1 + int(rng.random() ** 3 * (12 if price < 50 else 3))
        discount = 0.10 if rng.random() < 0.15 else 0.0
        rows.append((day, region, name, units, price * (1 - discount)))
    rows.sort(key=lambda row: row[0])
    out = sys.stdout
    out.write("order,date,region,product,units,unit_price\n")
    for number, (day, region, name, units, price) in enumerate(rows, start=10001):
        out.write(f"{number},{day},{region},{name},{units},{price:.2f}\n")


if __name__ == "__main__":
    main()
