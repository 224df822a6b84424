"""Signing in to servers behind OAuth: a person's consent in the browser, and the tokens that result.

`login` asks for consent and gives a grant (`consent`); `grants` keeps grants in the vault; `bearer` sends a grant's
token with every request and renews it.
"""
