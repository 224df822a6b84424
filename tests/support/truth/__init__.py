"""A bench of gone things: what Ostler says of a service while it ends, compared with what is so.

`drivers` has the kinds of drivers and what runs behind them, `timeline` the claims and the truth over time, `cells` one
way to end at one moment; `server` and `program` are programs of their own, which the drivers run.
"""
