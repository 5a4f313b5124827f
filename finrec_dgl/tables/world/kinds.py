"""The kinds of product that a made-up bank sells, and how each of them works, in words."""

from __future__ import annotations

from dataclasses import dataclass

from finrec_dgl.tables.world.themes import Phrases

FAMILIES = ("investments", "savings", "insurance", "payments", "lending")


@dataclass(frozen=True)
class Kind:
    """One kind of product.

    - ``label``: its name for people; ``code``: starts the ids; ``family``: one of ``FAMILIES``;
      ``share``: how common it is, in parts.
    - ``peak``: the month (1 to 12) in which most are bought; ``swing``: by how much, in log units.
    - ``risks``: lowest and highest risk class; ``costs``: per cent or money a year, ``cost_unit``;
      ``terms``: years to choose from (empty: open-ended).
    - ``nouns``: what a name ends in; ``openings``: sentences around the theme's ``{things}``;
      ``works``: sentences with ``{cost}``, ``{rate}``, ``{term}``, ``{currency}``.
    """

    name: str
    label: str
    code: str
    family: str
    share: float
    peak: int
    swing: float
    risks: tuple[int, int]
    costs: tuple[float, float]
    cost_unit: str
    terms: tuple[int, ...]
    nouns: Phrases
    openings: Phrases
    works: Phrases


KINDS = (
    Kind(
        name="equity_fund",
        label="equity fund",
        code="FND",
        family="investments",
        share=2.0,
        peak=1,
        swing=0.3,
        risks=(4, 6),
        costs=(0.9, 1.9),
        cost_unit="% a year",
        terms=(),
        nouns=("Equity Fund", "Fund", "Select Fund", "Opportunities Fund"),
        openings=(
            "An actively managed equity fund that invests in {things}.",
            "The fund spreads its money over {things}.",
            "Its managers choose between forty and sixty holdings among {things}.",
            "This fund gives access to {things}.",
        ),
        works=(
            "The ongoing charge is {cost} and units are priced daily in {currency}.",
            "Costs come to {cost}; it can be bought from 50 {currency} a month.",
            "It is meant for investors who can wait at least five years and costs {cost}.",
        ),
    ),
    Kind(
        name="bond_fund",
        label="bond fund",
        code="BFD",
        family="investments",
        share=1.6,
        peak=10,
        swing=0.3,
        risks=(2, 4),
        costs=(0.4, 1.1),
        cost_unit="% a year",
        terms=(3, 4, 6, 8),
        nouns=("Bond Fund", "Fixed Income Fund", "Credit Fund"),
        openings=(
            "A bond fund that lends to {things}.",
            "The managers build a portfolio of debt issued by {things}.",
            "Invests in interest-bearing securities of {things}.",
        ),
        works=(
            "The average remaining term is about {term}, the yearly charge {cost}.",
            "Interest is paid out twice a year in {currency}, after costs of {cost}.",
            "Rising interest rates weigh on its price for a while. It costs {cost}.",
        ),
    ),
    Kind(
        name="etf",
        label="ETF",
        code="ETF",
        family="investments",
        share=2.0,
        peak=1,
        swing=0.3,
        risks=(3, 6),
        costs=(0.1, 0.6),
        cost_unit="% a year",
        terms=(),
        nouns=("ETF", "UCITS ETF", "Index ETF"),
        openings=(
            "An exchange-traded fund on an index of {things}.",
            "Tracks an index made up of {things}.",
            "This ETF follows {things}, by rule and without a manager.",
        ),
        works=(
            "It trades on the exchange all day in {currency} and costs {cost}.",
            "Costs are {cost}, and savings plans start at 25 {currency}.",
            "The fund owns the index members themselves and charges {cost}.",
        ),
    ),
    Kind(
        name="bond",
        label="single bond",
        code="BND",
        family="investments",
        share=1.0,
        peak=10,
        swing=0.3,
        risks=(2, 4),
        costs=(2.1, 5.4),
        cost_unit="% interest",
        terms=(3, 5, 7, 10, 15),
        nouns=("Bond",),
        openings=(
            "A single bond that raises money for {things}.",
            "The proceeds of this bond pay for {things}.",
        ),
        works=(
            "It carries {cost} and has another {term} to run, in {currency}.",
            "Holders receive {cost} every year until it falls due in {term}.",
        ),
    ),
    Kind(
        name="note",
        label="structured note",
        code="NTE",
        family="investments",
        share=0.9,
        peak=3,
        swing=0.3,
        risks=(3, 7),
        costs=(0.5, 1.6),
        cost_unit="% a year",
        terms=(2, 3, 4, 6),
        nouns=("Express Note", "Bonus Note", "Participation Note", "Barrier Note"),
        openings=(
            "A structured note whose return depends on {things}.",
            "This note pays a bonus while its basket stays above a barrier. In it: {things}.",
            "A note that takes part in the gains of {things}, up to a cap.",
        ),
        works=(
            "It runs for {term}; if the issuer fails, the money may be lost.",
            "The term is {term}, and it may be repaid early on each anniversary.",
        ),
    ),
    Kind(
        name="savings",
        label="savings account",
        code="SAV",
        family="savings",
        share=1.2,
        peak=1,
        swing=0.4,
        risks=(1, 1),
        costs=(0.5, 3.2),
        cost_unit="% interest",
        terms=(1, 2, 3, 5),
        nouns=("Savings Account", "Deposit", "Saver"),
        openings=(),
        works=(
            "Interest is {rate} at present.",
            "The rate of {rate} is fixed for {term}.",
            "It pays {rate}, credited at the end of the year.",
        ),
    ),
    Kind(
        name="pension",
        label="pension plan",
        code="PEN",
        family="savings",
        share=1.2,
        peak=12,
        swing=0.8,
        risks=(2, 5),
        costs=(0.5, 1.6),
        cost_unit="% a year",
        terms=(12, 20, 30),
        nouns=("Pension Plan", "Pension", "Retirement Plan"),
        openings=(),
        works=(
            "Contributions are deductible from tax, and costs are {cost}.",
            "The plan runs for at least {term} and charges {cost}.",
        ),
    ),
    Kind(
        name="life",
        label="life insurance",
        code="LIF",
        family="insurance",
        share=1.1,
        peak=11,
        swing=0.3,
        risks=(1, 2),
        costs=(80, 420),
        cost_unit=" a year",
        terms=(10, 15, 20, 25),
        nouns=("Life Cover", "Life Insurance", "Term Life"),
        openings=(),
        works=(
            "Premiums start at {cost} and the contract runs for {term}.",
            "A few health questions are enough; cover lasts {term}.",
        ),
    ),
    Kind(
        name="home",
        label="home insurance",
        code="HOM",
        family="insurance",
        share=1.1,
        peak=10,
        swing=0.4,
        risks=(1, 1),
        costs=(60, 380),
        cost_unit=" a year",
        terms=(1, 3),
        nouns=("Home Insurance", "Contents Cover", "Property Cover"),
        openings=(),
        works=(
            "Premiums begin at {cost}.",
            "The contract runs for {term} and the excess is 150 {currency}.",
        ),
    ),
    Kind(
        name="travel",
        label="travel insurance",
        code="TRV",
        family="insurance",
        share=1.1,
        peak=6,
        swing=1.0,
        risks=(1, 1),
        costs=(15, 140),
        cost_unit=" a year",
        terms=(1,),
        nouns=("Travel Insurance", "Trip Cover", "Travel Protection"),
        openings=(),
        works=(
            "It costs {cost} and starts at once.",
            "Claims are handled in the app, usually within three days.",
        ),
    ),
    Kind(
        name="health",
        label="health insurance",
        code="HLT",
        family="insurance",
        share=1.1,
        peak=11,
        swing=0.6,
        risks=(1, 1),
        costs=(150, 900),
        cost_unit=" a year",
        terms=(1, 2),
        nouns=("Health Insurance", "Health Plan", "Medical Cover"),
        openings=(),
        works=(
            "Premiums begin at {cost}.",
            "It may be cancelled after {term}; premiums begin at {cost}.",
        ),
    ),
    Kind(
        name="credit_card",
        label="credit card",
        code="CRD",
        family="payments",
        share=1.3,
        peak=11,
        swing=0.4,
        risks=(1, 1),
        costs=(0, 120),
        cost_unit=" a year",
        terms=(),
        nouns=("Credit Card", "Card", "Plus Card"),
        openings=(),
        works=(
            "The card costs {cost}.",
            "It can be loaded into a phone or watch on the day of application.",
        ),
    ),
    Kind(
        name="current_account",
        label="current account",
        code="ACC",
        family="payments",
        share=1.3,
        peak=9,
        swing=0.3,
        risks=(1, 1),
        costs=(0, 96),
        cost_unit=" a year",
        terms=(),
        nouns=("Account", "Current Account", "Giro"),
        openings=(),
        works=(
            "Keeping the account costs {cost}.",
            "Switching from another bank takes ten minutes; it costs {cost}.",
        ),
    ),
    Kind(
        name="mortgage",
        label="mortgage",
        code="MTG",
        family="lending",
        share=1.2,
        peak=4,
        swing=0.5,
        risks=(1, 3),
        costs=(2.6, 4.9),
        cost_unit="% interest",
        terms=(10, 15, 20, 30),
        nouns=("Mortgage", "Home Loan"),
        openings=(),
        works=(
            "The rate of {rate} is fixed for {term}.",
            "It runs for up to {term}, currently at {cost}.",
        ),
    ),
    Kind(
        name="loan",
        label="consumer loan",
        code="LOA",
        family="lending",
        share=1.3,
        peak=3,
        swing=0.4,
        risks=(1, 3),
        costs=(3.9, 9.8),
        cost_unit="% interest",
        terms=(1, 3, 5, 7),
        nouns=("Loan", "Personal Loan", "Credit"),
        openings=(),
        works=(
            "It charges {cost} and may run for up to {term}.",
            "It is paid back in equal instalments over {term} at {cost}.",
        ),
    ),
    Kind(
        name="car_loan",
        label="car loan",
        code="CAR",
        family="lending",
        share=1.1,
        peak=5,
        swing=0.5,
        risks=(1, 3),
        costs=(2.9, 7.5),
        cost_unit="% interest",
        terms=(2, 3, 4, 5),
        nouns=("Car Loan", "Car Finance", "Vehicle Loan"),
        openings=(),
        works=(
            "Terms go up to {term}, at {cost}.",
            "It needs no down payment and costs {cost} over {term}.",
        ),
    ),
)
"""Every kind, in the fixed order of their numbers."""
