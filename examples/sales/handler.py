"""Groups a year of orders with pandas: revenue by one column, best first, and the monthly trend."""

from pathlib import Path

import pandas as pd

ORDERS = Path(__file__).with_name("orders.csv")
COLUMNS = ("region", "product")


def handler(event, context):
    by = event.get("by", "region")
    if by not in COLUMNS:
        raise ValueError(f"cannot group by {by!r}; choose one of {', '.join(COLUMNS)}")

    orders = pd.read_csv(ORDERS, parse_dates=["date"])
    if "region" in event:
        orders = orders[orders["region"] == event["region"]]
    orders["revenue"] = orders["units"] * orders["unit_price"]

    groups = orders.groupby(by).agg(
        orders=("order", "count"), units=("units", "sum"), revenue=("revenue", "sum")
    )
    groups["share"] = groups["revenue"] / groups["revenue"].sum()
    groups = groups.sort_values("revenue", ascending=False).head(int(event.get("top", 10)))
    months = orders.groupby(orders["date"].dt.strftime("%Y-%m"))["revenue"].sum()

    print(f"{len(orders)} orders from {orders['date'].min():%F} to {orders['date'].max():%F}")
    return {
        "orders": int(len(orders)),
        "revenue": round(float(orders["revenue"].sum()), 2),
        "groups": [
            {
                by: name,
                "orders": int(row["orders"]),
                "units": int(row["units"]),
                "revenue": round(float(row["revenue"]), 2),
                "share": round(float(row["share"]), 4),
            }
            for name, row in groups.iterrows()
        ],
        "months": {month: round(float(value), 2) for month, value in months.items()},
    }
