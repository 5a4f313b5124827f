"""What the products of a made-up bank are about, theme by theme, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Theme:
    """One theme and every phrase that tells of it.

    - ``labels`` and ``tags``: how investments and other products of the theme are named.
    - ``shares``, ``debt``, ``projects``: noun phrases for what its funds hold, whom they lend to
      and what its bonds pay for; where empty, the theme has no such products.
    - ``details``: sentences about those investments.
    - ``says``: kind of product -> (opening sentences, further sentences).
    - ``aside``: sentences for a product of another theme that touches on this one.
    - ``interests``: what its followers write of themselves; ``goals``: the same, as infinitives.
    - ``ages``, ``jobs``: who its followers mostly are; empty: anybody.
    """

    name: str
    labels: Phrases = ()
    tags: Phrases = ()
    shares: Phrases = ()
    debt: Phrases = ()
    projects: Phrases = ()
    details: Phrases = ()
    says: Mapping[str, tuple[Phrases, Phrases]] = field(default_factory=dict)
    aside: Phrases = ()
    interests: Phrases = ()
    goals: Phrases = ()
    ages: Phrases = ()
    jobs: Phrases = ()

    def kinds(self) -> Phrases:
        """The kinds of product that the theme has."""
        named = {
            "equity_fund": self.shares,
            "etf": self.shares,
            "note": self.shares,
            "bond_fund": self.debt,
            "bond": self.projects,
        }
        return tuple(dict.fromkeys([*(kind for kind, words in named.items() if words), *self.says]))


THEMES = (
    Theme(
        name="clean_energy",
        labels=("Clean Energy", "Solar & Wind", "Energy Transition", "Renewables"),
        tags=("Green", "Eco"),
        shares=(
            "companies that build wind farms, solar parks and battery storage",
            "makers of turbines, solar cells and heat pumps",
            "power producers that are replacing coal with wind, sun and water",
        ),
        debt=(
            "issuers of certified green bonds",
            "utilities and towns that borrow to leave fossil fuels behind",
        ),
        projects=(
            "an offshore wind farm and its link to the grid",
            "solar roofs on schools and warehouses",
        ),
        details=(
            "Oil, gas and coal producers are left out altogether.",
            "A yearly report states how many tonnes of carbon dioxide the holdings avoided.",
            "Grid operators and makers of electric charging equipment round off the portfolio.",
        ),
        says={
            "savings": (
                ("A savings account whose deposits are lent only to renewable power projects.",),
                ("A map shows savers which wind and solar parks their money helped to build.",),
            ),
            "mortgage": (
                ("A mortgage for energy-efficient homes; a top energy label lowers the rate.",),
                ("It falls again once insulation, a heat pump or solar panels are installed.",),
            ),
            "loan": (
                (
                    "A loan for solar panels, a heat pump or better insulation at home.",
                    "Pays for making a house greener: roof panels, battery, triple glazing.",
                ),
                ("Subsidies for renewable heating can be used to repay early without charge.",),
            ),
            "car_loan": (
                ("A loan for battery-electric cars and a charging point at home.",),
                ("Cars with a combustion engine are not financed.",),
            ),
        },
        aside=("For every contract the provider pays for a square metre of solar roof.",),
        interests=(
            "I want my money in wind and solar, not in oil.",
            "The climate is what worries me most, so renewables come first for me.",
            "We put panels on the roof last spring and I would gladly own more of that industry.",
            "Anything that gets us off coal and gas faster has my support.",
            "I follow battery and hydrogen news closely and believe in the energy transition.",
        ),
        goals=(
            "to put savings behind wind and solar power",
            "to make home and portfolio independent of fossil fuels",
            "to invest in the energy transition",
        ),
    ),
    Theme(
        name="technology",
        labels=("Technology", "Digital Leaders", "AI & Software", "Semiconductor"),
        tags=("Tech",),
        shares=(
            "software, chip and cloud computing companies",
            "companies that design semiconductors and the machines to make them",
            "firms that earn their living from artificial intelligence and data centres",
        ),
        details=(
            "Prices swing widely, as they do in young digital markets.",
            "Cybersecurity and robotics make up about a third of the holdings.",
            "Profits are ploughed back into research, so hardly any dividends are paid.",
        ),
        says={
            "home": (
                ("Home contents insurance made for households full of electronics.",),
                ("Laptops, consoles and phones are replaced as new, even after a fall or spill.",),
            ),
            "pension": (
                ("A pension plan that leans towards software, chips and automation until age 50.",),
                ("After that it moves step by step into calmer investments.",),
            ),
        },
        interests=(
            "I work with computers all day and trust technology shares most.",
            "Chips and artificial intelligence will change everything, and I want a part of it.",
            "I read every quarterly report of the big software houses.",
            "Give me growth: cloud, robotics, semiconductors.",
            "Big swings in tech stocks do not scare me.",
        ),
        goals=(
            "to own a share of the artificial intelligence boom",
            "to build wealth with software and chip makers",
            "to back digital innovation over the long run",
        ),
        jobs=("software developer", "data analyst", "network engineer"),
    ),
    Theme(
        name="dividends",
        labels=("Dividend Income", "High Dividend", "Equity Income", "Quarterly Payout"),
        shares=(
            "mature companies that have raised their dividend year after year",
            "high-dividend shares from utilities, telecoms and consumer goods",
            "solid businesses that hand most of their profit to shareholders",
        ),
        debt=(
            "companies that pay above-average coupons",
            "banks and insurers through subordinated, high-coupon debt",
        ),
        details=(
            "Income is paid out every quarter rather than reinvested.",
            "A steady payout counts for more here than growth.",
            "The portfolio yielded roughly four per cent in dividends last year.",
        ),
        says={
            "pension": (
                ("A pension plan built on dividend-paying shares, which reinvests every payout.",),
                ("In retirement the dividends can be drawn as a regular income.",),
            ),
        },
        interests=(
            "I like to see dividends arrive in my account every quarter.",
            "Steady payouts matter more to me than a rising share price.",
            "A second income from dividends is what I am building, slowly.",
            "Old, boring companies with fat dividends suit me very well.",
            "Yield first: coupons and dividends are what I look at.",
        ),
        goals=(
            "to earn a regular income from dividends",
            "to live partly on coupons and payouts one day",
            "to collect high dividends and reinvest them",
        ),
    ),
    Theme(
        name="emerging_markets",
        labels=("Emerging Markets", "Asia & Latin America", "Frontier Growth", "New Economies"),
        shares=(
            "companies in India, Brazil, Indonesia and other fast-growing economies",
            "banks, retailers and manufacturers across Asia, Africa and Latin America",
            "businesses that serve the new middle class of emerging markets",
        ),
        debt=(
            "governments of emerging economies, in their own currencies",
            "companies in Latin America and South-East Asia",
        ),
        projects=(
            "roads and ports in West Africa, through a development bank",
            "microcredit lenders in South Asia",
        ),
        details=(
            "Exchange rates and politics can move the value a great deal in either direction.",
            "India, Taiwan and Brazil carry the largest weights.",
            "Lenders and phone makers from Mumbai to São Paulo set the tone.",
        ),
        says={
            "current_account": (
                ("An account for sending money to family in Asia, Africa or Latin America.",),
                ("Transfers to forty developing countries cost one euro and arrive the same day.",),
            ),
        },
        aside=("Transfers to relatives in developing countries are free once a month.",),
        interests=(
            "India and Brazil are growing so much faster than we are, I want to be there.",
            "I lived in Jakarta for years and believe in the emerging economies.",
            "Old Europe bores me; the future is in Asia and Africa.",
            "I accept the risk of developing countries for their growth.",
            "Half of my family lives in Lagos, so I look at Africa first.",
        ),
        goals=(
            "to take part in the growth of Asia and Latin America",
            "to invest in emerging markets despite the ups and downs",
            "to support business in developing countries",
        ),
    ),
    Theme(
        name="real_estate",
        labels=("Real Estate", "Property Income", "Global REIT", "City Property"),
        tags=("Landlord", "Buy-to-Let"),
        shares=(
            "owners of offices, warehouses and rented flats",
            "listed property companies and real estate investment trusts",
            "landlords of shopping centres, student halls and logistics parks",
        ),
        debt=("property companies, secured by the buildings themselves",),
        projects=(
            "rented flats near the new tram line",
            "the conversion of an old factory into offices",
        ),
        details=(
            "Rents are passed on to investors after costs.",
            "An independent valuer appraises every building twice a year.",
            "Vacancy stood below five per cent at the last count.",
        ),
        says={
            "mortgage": (
                ("A mortgage for a flat or house that is let to tenants.",),
                ("Expected rent counts as income, and up to four properties can be financed.",),
            ),
            "home": (
                ("Insurance for landlords that covers the building and lost rent.",),
                ("Damage by tenants and legal costs of an eviction are included.",),
            ),
        },
        interests=(
            "Bricks and mortar are the only thing I really trust.",
            "I let two flats already and am looking for a third property.",
            "Rental income beats anything the stock market has to offer, I think.",
            "Real estate holds its value when prices rise.",
            "Warehouses and offices as an investment interest me, without having to manage them.",
        ),
        goals=(
            "to earn rent from property",
            "to add buildings and real estate to the portfolio",
            "to buy another flat to let",
        ),
        jobs=("architect", "estate agent", "site manager"),
    ),
    Theme(
        name="healthcare",
        labels=("Healthcare", "Biotech & Pharma", "Medical Innovation", "Life Sciences"),
        tags=("Wellbeing", "Care"),
        shares=(
            "drug makers, biotech laboratories and medical device companies",
            "hospital operators and diagnostics firms",
            "companies that search for new cancer and gene therapies",
        ),
        projects=("a new children's hospital and its research wing",),
        details=(
            "Ageing societies spend more on medicine every year.",
            "A single trial result can move the price of a biotech holding sharply.",
            "People fall ill in good times and bad, which makes the sector less cyclical.",
        ),
        says={
            "health": (
                (
                    "Private health insurance with free choice of doctor and hospital.",
                    "Supplementary health insurance for dental work, glasses and physiotherapy.",
                ),
                (
                    "Yearly check-ups and a video consultation within the hour are included.",
                    "Part of the premium is refunded in years without a claim.",
                ),
            ),
            "life": (
                ("Life insurance that also pays out on diagnosis of a serious illness.",),
                ("Cancer, stroke and heart attack are covered from the first day.",),
            ),
        },
        aside=("It comes with a hotline where a doctor answers at any hour.",),
        interests=(
            "As a nurse I see what new medicines can do, so I follow pharma closely.",
            "Good medical cover is worth every cent to me.",
            "I am fascinated by gene therapy and the small biotech labs.",
            "Since my operation my health comes before everything else.",
            "Hospitals, medical devices and drug research: that is a field I understand.",
        ),
        goals=(
            "to have the best medical care when it is needed",
            "to invest in medicine and biotechnology",
            "to be safe in case of serious illness",
        ),
        jobs=("nurse", "pharmacist", "physiotherapist", "laboratory assistant"),
    ),
    Theme(
        name="food_water",
        labels=("Food & Water", "Sustainable Agriculture", "Water Solutions", "Farmland"),
        tags=("Rural", "Farm"),
        shares=(
            "companies that treat, pipe and save water",
            "seed, irrigation and farm machinery makers",
            "producers of plant-based food and owners of farmland",
        ),
        projects=(
            "sewage works and drinking water mains in three coastal towns",
            "drip irrigation for fruit growers",
        ),
        details=(
            "Demand rises with the world's population and with every dry summer.",
            "Utilities for drinking water make up nearly half of the holdings.",
            "Harvests and weather decide much of the return.",
        ),
        says={
            "loan": (
                ("A loan for farmers and growers, repaid after the harvest.",),
                ("Tractors, greenhouses and irrigation can all be financed.",),
            ),
            "home": (
                ("Insurance for farmhouses, barns and stables.",),
                ("Hail, flood and the loss of stored crops are covered.",),
            ),
        },
        interests=(
            "Clean water will be the most precious good of this century.",
            "I grew up on a farm and like to invest in what people eat.",
            "Irrigation, seeds, farmland: everybody needs food.",
            "After three dry summers I started to read about water companies.",
            "Agriculture is badly underrated by investors.",
        ),
        goals=(
            "to invest in water and farming",
            "to support sustainable food production",
            "to modernise the family farm",
        ),
        jobs=("farmer", "gardener", "agronomist"),
    ),
    Theme(
        name="gold",
        labels=("Gold", "Precious Metals", "Commodities", "Gold & Silver Miners"),
        shares=(
            "gold and silver bars and a few mining companies beside them",
            "gold, copper and other raw materials",
            "mining companies that dig for gold, silver and platinum",
        ),
        details=(
            "Gold pays no interest, but many hold it against inflation and crises.",
            "Jewellers, industry and central banks account for most of the demand.",
            "The price follows the metals markets and has little to do with shares.",
        ),
        says={
            "savings": (
                ("A savings plan that buys grams of physical gold each month.",),
                ("The metal lies in a vault and can be delivered in coins or bars.",),
            ),
        },
        interests=(
            "I do not trust paper money and keep part of my wealth in gold.",
            "Inflation scares me, so precious metals are my anchor.",
            "Gold has kept its value for thousands of years, no bank note has.",
            "Silver and copper will be scarce, mark my words.",
            "A few bars in the vault let me sleep at night.",
        ),
        goals=(
            "to guard against inflation with gold",
            "to hold precious metals for times of crisis",
            "to own raw materials beside shares",
        ),
    ),
    Theme(
        name="world_index",
        labels=("World Index", "All-World", "Global Core", "Developed Markets"),
        tags=("Index",),
        shares=(
            "about 1,600 large and mid-sized companies from 23 developed countries",
            "shares from the whole world, weighted by size",
            "the largest listed companies of every continent",
        ),
        details=(
            "Dozens of industries and countries share the risk.",
            "A single purchase replaces a whole portfolio of regional funds.",
            "It works well as the core of a portfolio or for a monthly savings plan.",
        ),
        says={
            "pension": (
                ("A low-cost pension plan that follows a global share index.",),
                ("Contributions can be paused, raised or lowered at any time.",),
            ),
        },
        interests=(
            "Just give me the cheapest index tracker and leave it alone for twenty years.",
            "Nobody beats the market, so I buy the whole market.",
            "Low costs and wide diversification are all I ask for.",
            "I pay into a global index every month and never look at the price.",
            "One broad world portfolio is enough for me.",
        ),
        goals=(
            "to save monthly in a broad world index",
            "to spread money over the whole market at low cost",
            "to invest passively and not think about it",
        ),
    ),
    Theme(
        name="small_companies",
        labels=("Small Cap", "Hidden Champions", "Venture", "Micro Cap"),
        shares=(
            "small listed companies that few analysts follow",
            "family-run niche manufacturers, so-called hidden champions",
            "young firms shortly before and after their stock market debut",
        ),
        debt=("small and mid-sized firms without a rating, at high coupons",),
        details=(
            "Trading can be thin, so the units should be held for seven years or more.",
            "Hardly any of the names is known to a wider public.",
            "A few big winners are expected to pay for many disappointments.",
        ),
        interests=(
            "I love digging up little-known firms before everybody else does.",
            "Start-ups and small caps are where the real growth happens.",
            "The big names are priced to perfection; I look at the small ones.",
            "A hidden champion from the countryside beats any giant.",
            "I would rather own ten tiny companies than one giant.",
        ),
        goals=(
            "to find small companies before they become big",
            "to put risk money into start-ups",
            "to invest in local niche firms",
        ),
    ),
    Theme(
        name="safety",
        labels=("Government Bond", "Capital Protection", "Safe Harbour", "Short Term Reserve"),
        tags=("Secure", "Fixed"),
        debt=(
            "euro-area governments with the highest credit ratings",
            "states and state-backed agencies for terms under three years",
        ),
        projects=("the general budget of a highly rated state",),
        details=(
            "Swings in value are small, and so is the return to be expected.",
            "Nothing below investment grade is ever bought.",
            "It is meant as a safe place for money that must not be lost.",
        ),
        says={
            "note": (
                ("A note that pays back the full amount at maturity, whatever the markets do.",),
                ("In return for the guarantee, gains are capped.",),
            ),
            "savings": (
                (
                    "A fixed-term deposit with a guaranteed rate.",
                    "An instant-access savings account protected by the deposit guarantee.",
                ),
                ("There is no risk of loss up to 100,000 euros a customer.",),
            ),
            "etf": (
                ("Tracks an index of short-dated bonds from highly rated governments.",),
                ("It is used to park cash with very little risk.",),
            ),
            "pension": (
                ("A pension plan that guarantees every contribution paid in.",),
                ("The pension for life is known to the cent on the day of signing.",),
            ),
        },
        interests=(
            "I cannot bear to lose money, so a guarantee is what I look for.",
            "Safety first: fixed interest and no surprises.",
            "The stock market is gambling if you ask me.",
            "All I want is my capital back, with a little interest.",
            "I sleep badly when prices fall, hence only government bonds and deposits.",
        ),
        goals=(
            "to keep savings safe above all",
            "to have fixed interest without any risk of loss",
            "to protect capital until it is needed",
        ),
    ),
    Theme(
        name="infrastructure",
        labels=("Infrastructure", "Roads & Networks", "Transport & Utilities", "Public Works"),
        shares=(
            "operators of toll roads, airports and power lines",
            "owners of railways, harbours and fibre networks",
        ),
        debt=("toll roads, railways and other public works with long concessions",),
        projects=(
            "a motorway bridge paid for by tolls",
            "fibre cables to four hundred villages",
            "new commuter trains",
        ),
        details=(
            "Fees and tolls are tied to inflation by contract.",
            "Concessions run for decades, which makes income easy to foresee.",
            "Airports and harbours suffer when trade slows down.",
        ),
        interests=(
            "Roads, bridges and cables will always be needed.",
            "I like things I can see: railways, harbours, airports.",
            "Tolls that rise with inflation make infrastructure attractive to me.",
            "As a civil engineer I know what such networks are worth.",
            "Our country has to rebuild its bridges and I want to finance that.",
        ),
        goals=(
            "to invest in roads, railways and networks",
            "to own long-lived infrastructure",
            "to finance public works",
        ),
        jobs=("civil engineer", "train driver", "surveyor"),
    ),
    Theme(
        name="students",
        tags=("Student", "Campus", "Graduate", "Young"),
        says={
            "current_account": (
                (
                    "A current account for people in full-time study, without a monthly fee.",
                    "An account for school leavers, apprentices and students up to age 27.",
                ),
                (
                    "The overdraft is free up to 500 euros until graduation.",
                    "Splitting the rent with flatmates takes two taps.",
                ),
            ),
            "credit_card": (
                ("A first credit card for students with a low limit and no yearly charge.",),
                ("Textbooks and cinema tickets earn double points.",),
            ),
            "loan": (
                ("A study loan that pays a monthly sum while you are at university.",),
                ("Repayment begins a year after the degree and follows your salary.",),
            ),
            "travel": (
                ("Insurance for a semester abroad, an exchange year or working holidays.",),
                ("It also pays tuition fees if you have to break off your studies.",),
            ),
            "health": (
                ("Low-priced health insurance for students up to 30.",),
                ("Campus counselling and exam stress coaching are covered.",),
            ),
            "savings": (
                ("A starter savings account for pupils and students, open from one euro.",),
                ("Rounding up card payments lets small change build up between terms.",),
            ),
        },
        aside=("Students and apprentices get a discount.",),
        interests=(
            "I am in my second year at university and every euro counts.",
            "Between lectures and my part-time job I need something free and simple.",
            "Next autumn I start my master's degree and have to pay tuition.",
            "My flatmates and I share everything, including the bills.",
            "I just finished school and moved into a student hall.",
        ),
        goals=(
            "to get through university without debt",
            "to pay for a degree and a semester abroad",
            "to manage on a student budget",
        ),
        ages=("18-25",),
        jobs=("student", "apprentice"),
    ),
    Theme(
        name="families",
        tags=("Family", "Junior", "Parents'"),
        says={
            "life": (
                ("Term life insurance that protects your partner and children if you die early.",),
                ("The sum insured shrinks as the children grow up, which keeps premiums low.",),
            ),
            "home": (
                ("Home insurance for families, with liability cover for what children break.",),
                ("Bicycles, prams and musical instruments are insured outside the house too.",),
            ),
            "health": (
                ("Family health insurance where all children are covered by one premium.",),
                ("Braces, vaccinations and a parent's stay in hospital are paid in full.",),
            ),
            "savings": (
                ("A savings account in your child's name, locked until the 18th birthday.",),
                ("Grandparents and godparents can pay in by standing order.",),
            ),
            "mortgage": (
                ("A mortgage for families whose instalments pause during parental leave.",),
                ("Each child under ten lowers the rate by a tenth of a point.",),
            ),
            "car_loan": (
                ("A loan for estate cars, vans and other cars with room for child seats.",),
                ("One instalment a year can be skipped in the holiday month.",),
            ),
            "travel": (
                ("Holiday insurance for two adults and any number of children.",),
                ("Cancellation because of a sick child is always accepted.",),
            ),
        },
        aside=("Parents of small children get better terms.",),
        interests=(
            "With two small kids I think about what happens if I am not there.",
            "Our third child is due in May and we need to plan ahead.",
            "I put money aside each month for my daughter's future.",
            "Family life is chaotic enough, so everything for the five of us in one place please.",
            "The kids come first; school, braces and a bigger car will cost a lot.",
        ),
        goals=(
            "to look after partner and children whatever happens",
            "to save for the children's education",
            "to have room in the budget for a growing family",
        ),
        ages=("26-35", "36-45"),
        jobs=("teacher", "childminder", "office clerk"),
    ),
    Theme(
        name="retirees",
        labels=("Retirement Income",),
        tags=("Senior", "Golden Years", "Retirement"),
        debt=("solid companies, with payouts timed to top up a monthly pension",),
        details=("It is run for people who have stopped working and live on their capital.",),
        says={
            "pension": (
                (
                    "Turns a lump sum into a pension for life from age 60.",
                    "A drawdown plan that pays retired people a monthly income.",
                ),
                ("A widow's or widower's pension of sixty per cent can be added.",),
            ),
            "savings": (
                ("A savings account for pensioners that pays interest every month.",),
                ("Larger sums for a care home can be withdrawn without notice.",),
            ),
            "life": (
                ("Funeral insurance for people over 60 without medical questions.",),
                ("It spares the heirs the cost and helps them with the formalities.",),
            ),
            "health": (
                ("Long-term care insurance for later life, at home or in a nursing home.",),
                ("Hearing aids and new hips are paid for without a waiting period.",),
            ),
            "travel": (
                ("Travel insurance for people over 65, with existing illnesses covered.",),
                ("A doctor on call speaks your language on cruises and coach tours.",),
            ),
            "current_account": (
                ("An account for pensioners with personal service at the counter.",),
                ("A trusted relative can be given a power of attorney in one visit.",),
            ),
        },
        aside=("Customers over 65 get an adviser who makes house calls.",),
        interests=(
            "I retire next year and wonder how to turn my savings into a monthly income.",
            "At seventy-two I want service at the counter, not an app.",
            "My pension is small, so a bit on top every month would help.",
            "My wife and I think about care and about what we leave to the grandchildren.",
            "Since I stopped working I have to make my capital last.",
        ),
        goals=(
            "to have enough income in retirement",
            "to arrange for care in old age and for the heirs",
            "to make savings last for thirty years of retirement",
        ),
        ages=("56-65", "66+"),
        jobs=("retired",),
    ),
    Theme(
        name="travellers",
        tags=("Globetrotter", "Explorer", "Miles"),
        says={
            "credit_card": (
                (
                    "A credit card for frequent travellers, free of fees in foreign currencies.",
                    "Collects airline miles with every payment.",
                ),
                (
                    "Lounges at 900 airports and lost luggage cover are included.",
                    "Hotel and car hire bookings earn triple miles.",
                ),
            ),
            "travel": (
                (
                    "Year-round travel insurance for any number of trips worldwide.",
                    "Insurance for long journeys of up to eighteen months, backpackers included.",
                ),
                (
                    "Medical flights home and missed connections are covered.",
                    "Trips can be cancelled for any reason up to two days before departure.",
                ),
            ),
            "current_account": (
                ("An account in twelve currencies for people who are often abroad.",),
                ("Cash withdrawals are free at machines around the world.",),
            ),
            "health": (
                ("International health insurance for expatriates and digital nomads.",),
                ("Treatment is paid for in every country, the home country included.",),
            ),
            "loan": (
                ("A loan for the journey of a lifetime, from cruises to a year off.",),
                ("The first instalment is due only after your return.",),
            ),
        },
        aside=("It can be used and managed from abroad without extra charges.",),
        interests=(
            "I am on a plane every other week, so airport lounges and miles matter.",
            "Last year I saw fourteen countries and I am not finished.",
            "We plan half a year in South America with our backpacks.",
            "Paying abroad without fees is the first thing I check.",
            "My suitcase got lost twice, never again without insurance.",
        ),
        goals=(
            "to travel the world as often as possible",
            "to pay abroad without fees",
            "to spend winters overseas",
        ),
        jobs=("flight attendant", "photographer", "sales representative", "interpreter"),
    ),
    Theme(
        name="small_business",
        tags=("Business", "Founder", "Trade", "Freelance"),
        says={
            "current_account": (
                (
                    "A business account for sole traders and young companies.",
                    "An account for freelancers that sets aside tax with every payment received.",
                ),
                ("Invoices, payroll and bookkeeping software connect in minutes.",),
            ),
            "credit_card": (
                ("A company card with separate limits for each employee.",),
                ("Receipts are photographed once and land in the accounts.",),
            ),
            "loan": (
                (
                    "A loan for machines, stock and shop fittings of small firms.",
                    "Working capital for craftsmen, shops and restaurants.",
                ),
                ("Repayments follow the season: high when turnover is high.",),
            ),
            "car_loan": (
                ("Finance for delivery vans and company cars.",),
                ("Value added tax is financed and reclaimed by us.",),
            ),
            "life": (
                ("Key person insurance that keeps a firm going when its founder dies.",),
                ("Business partners can insure each other in one contract.",),
            ),
            "home": (
                ("Insurance for shops, workshops and offices with all their equipment.",),
                ("Lost turnover after a fire is paid for up to a year.",),
            ),
            "savings": (
                ("A reserve account for firms that earns interest on idle cash.",),
                ("Sums for tax and wages are kept apart automatically.",),
            ),
        },
        aside=("Owners of small firms can hold it in the name of the company.",),
        interests=(
            "I run a small bakery and cash flow is my daily worry.",
            "As a freelancer I have to keep my taxes apart from my income.",
            "We just hired our fourth employee and need better company accounts.",
            "My workshop needs a new machine before the summer.",
            "Starting my own firm was the best decision, but the paperwork kills me.",
        ),
        goals=(
            "to grow a small company",
            "to keep business and private money apart",
            "to finance new equipment for the workshop",
        ),
        ages=("26-35", "36-45", "46-55"),
        jobs=("shop owner", "carpenter", "freelance designer", "restaurant owner"),
    ),
    Theme(
        name="home_buyers",
        tags=("First Home", "Homebuilder", "Own Home"),
        says={
            "mortgage": (
                (
                    "A mortgage for first-time buyers with as little as ten per cent down.",
                    "A building loan paid out in stages as your new house goes up.",
                ),
                (
                    "Survey and land registry costs are included.",
                    "Five per cent of the sum may be repaid early each year.",
                ),
            ),
            "savings": (
                ("A home savings plan that earns the right to a cheap building loan.",),
                ("The state adds a bonus for buyers of a first flat or house.",),
            ),
            "home": (
                ("Buildings insurance for new owners, from the laying of the foundations.",),
                ("Burst pipes, storms and unfinished building work are covered.",),
            ),
            "loan": (
                ("A loan for moving house, a new kitchen or a bathroom.",),
                ("No entry in the land register is needed.",),
            ),
            "life": (
                ("Life insurance that pays off the mortgage if a home owner dies.",),
                ("The sum insured falls along with the debt on the house.",),
            ),
        },
        aside=("First-time buyers of a home get a bonus of 100 euros.",),
        interests=(
            "We have been looking for our first flat for over a year.",
            "The builder starts in March, so the financing has to stand by then.",
            "Paying rent feels like throwing money away; we want our own four walls.",
            "I am comparing mortgage rates every single week.",
            "Once the house is ours, we will need a kitchen and a lot of furniture.",
        ),
        goals=(
            "to buy a first home",
            "to save a deposit for a flat",
            "to build a house and pay it off before retirement",
        ),
        ages=("26-35", "36-45"),
    ),
    Theme(
        name="drivers",
        tags=("Motorist", "Drive", "Auto"),
        says={
            "car_loan": (
                (
                    "A loan for new and used cars with the money paid within a day.",
                    "Car finance with low instalments and a larger last payment.",
                ),
                (
                    "Motorbikes and camper vans are financed as well.",
                    "At the end you keep the car, hand it back or change to a newer one.",
                ),
            ),
            "credit_card": (
                ("A credit card that gives back three per cent on petrol and charging.",),
                ("Breakdown assistance and toll discounts come with the card.",),
            ),
            "travel": (
                ("Insurance for road trips by car, motorbike or camper van.",),
                ("Towing, a hire car and the journey home are paid after a breakdown.",),
            ),
            "loan": (
                ("A small loan for repairs, winter tyres or a driving licence.",),
                ("The garage is paid directly if you like.",),
            ),
        },
        aside=("Roadside assistance is part of the package.",),
        interests=(
            "My old car failed its inspection and I need another one soon.",
            "I commute eighty kilometres a day, so petrol is my biggest bill.",
            "On weekends I am out on my motorbike.",
            "We dream of a camper van and long road trips.",
            "Cars are my passion, especially old convertibles.",
        ),
        goals=(
            "to replace the old car",
            "to bring down the cost of commuting by car",
            "to buy a camper van",
        ),
        jobs=("driver", "car mechanic", "field technician"),
    ),
    Theme(
        name="shoppers",
        tags=("Cashback", "Shopper", "Everyday"),
        says={
            "credit_card": (
                (
                    "A cashback card that returns two per cent of every online purchase.",
                    "A card for everyday shopping with bonus points at supermarkets.",
                ),
                (
                    "Purchases are insured for ninety days against theft and damage.",
                    "Bills can be split into three instalments without interest.",
                ),
            ),
            "current_account": (
                ("An account run from the phone, with instant alerts and a spending diary.",),
                ("Discounts at two hundred shops are credited straight away.",),
            ),
            "loan": (
                ("Instalment credit for furniture, appliances and other larger purchases.",),
                ("Approval takes a minute at the shop's till.",),
            ),
        },
        aside=("Members collect shopping vouchers with every payment.",),
        interests=(
            "I order nearly everything online and collect cashback wherever I can.",
            "Points, vouchers, discounts: I never pay the full price.",
            "I like an app that shows at once where my money went.",
            "Buying in instalments helps me when the washing machine breaks.",
            "For the weekly groceries I want a card that gives something back.",
        ),
        goals=(
            "to get money back on daily shopping",
            "to keep an overview of spending on the phone",
            "to pay for larger purchases in instalments",
        ),
    ),
    Theme(
        name="outdoors",
        tags=("Outdoor", "Sport", "Active"),
        says={
            "travel": (
                (
                    "Insurance for skiing, climbing and diving trips.",
                    "Holiday cover for hikers and mountain bikers.",
                ),
                ("Helicopter rescue and hired equipment are covered without limit.",),
            ),
            "health": (
                ("Accident insurance for athletes and outdoor enthusiasts.",),
                ("Sports doctors, physiotherapy and gym fees are paid for in part.",),
            ),
            "credit_card": (
                ("A card for sports lovers with discounts on ski passes and race entries.",),
                ("Every payment supports the upkeep of mountain huts.",),
            ),
            "home": (
                ("Insurance for skis, surfboards and expensive bicycles.",),
                ("Theft from a car or a bicycle cellar is covered day and night.",),
            ),
        },
        aside=("Members of mountain and sports clubs get a discount.",),
        interests=(
            "Every free weekend I am in the mountains, skiing or climbing.",
            "My bike cost more than my car and has to be insured properly.",
            "I broke my leg on the slopes once, so rescue cover matters.",
            "I am training for my second marathon.",
            "Diving, surfing, hiking: I cannot sit still.",
        ),
        goals=(
            "to ski and climb without worrying about accidents",
            "to insure expensive sports equipment",
            "to stay active outdoors all year",
        ),
        jobs=("ski instructor", "fitness coach", "forester"),
    ),
    Theme(
        name="giving",
        labels=("Social Impact", "Community", "Fair Chance", "Ethical"),
        tags=("Charity", "Solidarity"),
        shares=(
            "companies with fair pay and strict labour standards along their supply chain",
            "firms that pass an ethics test and shun weapons, tobacco and gambling",
        ),
        debt=("charities, schools and social housing associations",),
        projects=(
            "affordable flats for people on low incomes",
            "schools and day nurseries run by a foundation",
        ),
        details=(
            "A council of charities and churches watches over the choice.",
            "One tenth of the yearly fee is donated to local projects.",
            "A report tells investors what their money has done for people.",
        ),
        says={
            "savings": (
                ("A savings account that gives half of the interest to a charity you choose.",),
                ("Deposits are lent to cooperatives, hospices and social housing.",),
            ),
            "credit_card": (
                ("A card that donates to a good cause with each payment.",),
                ("Holders vote each spring on which charities receive the money.",),
            ),
        },
        aside=("A part of what it earns for us goes to charity.",),
        interests=(
            "My money should do some good for other people.",
            "No weapons, no tobacco, no child labour: that is not negotiable.",
            "I volunteer at the food bank and look for ethical choices in banking too.",
            "I would give up some return if social projects benefit.",
            "Fair wages matter more to me than another half per cent.",
        ),
        goals=(
            "to invest by ethical standards",
            "to support charity and social housing",
            "to give something back to the community",
        ),
        jobs=("social worker", "pastor", "librarian"),
    ),
    Theme(
        name="private_wealth",
        labels=("Private Wealth", "Family Office", "Prestige Selection"),
        tags=("Prestige", "Platinum", "Private"),
        shares=(
            "luxury houses, watchmakers and fine wine",
            "hedge funds and private equity partnerships",
        ),
        details=(
            "A personal adviser reports each quarter and may be reached at any time.",
            "It is open only to wealthy clients with experience of complex investments.",
        ),
        says={
            "credit_card": (
                ("A metal card with a concierge who books tables, chauffeurs and private jets.",),
                ("There is no spending limit fixed in advance.",),
            ),
            "current_account": (
                ("A private banking account with a personal adviser and a safe deposit box.",),
                ("Trusts, wills and tax matters are looked after by specialists in house.",),
            ),
            "home": (
                ("Insurance for villas, art collections, jewellery and vintage cars.",),
                ("An expert values paintings and watches every three years.",),
            ),
            "life": (
                ("A life insurance wrapper to pass large fortunes on to the next generation.",),
                ("Shares and funds can be brought in from one million euros.",),
            ),
            "mortgage": (
                ("Financing for villas and holiday homes, secured by a share portfolio.",),
                ("Interest alone is paid during the first ten years.",),
            ),
        },
        interests=(
            "I collect contemporary art and fine watches.",
            "After selling my company I need discreet, personal advice for a large fortune.",
            "Passing our estate on to the next generation is on my mind.",
            "I expect a banker who knows my name and picks up the phone.",
            "Private equity and hedge funds interest me more than anything off the shelf.",
        ),
        goals=(
            "to preserve a large fortune and hand it on",
            "to have one personal adviser for estate, art and investments",
            "to gain access to private equity",
        ),
        ages=("46-55", "56-65", "66+"),
        jobs=("surgeon", "company director", "lawyer"),
    ),
)
"""Every theme, in the fixed order of their numbers."""
