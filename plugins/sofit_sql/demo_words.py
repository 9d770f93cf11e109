"""The words of the demo set: what the invented library holds, and templates of questions with their queries."""

AUTHORS = (
    "Ada Winterbourne", "Anselm Krug", "Beatriz Lobo", "Cedric Oyelaran", "Clara Nightingale", "Dmitri Volkov", "Elif Kaya",
    "Farid Mansour", "Greta Lindqvist", "Hana Mori", "Ignacio Vidal", "Ines Carvalho", "Jonas Hallberg", "Kwame Asante",
    "Leila Haddad", "Lucia Ferri", "Magnus Dahl", "Mei Tan", "Nadia Petrova", "Oskar Brandt", "Paloma Reyes", "Quentin Moreau",
    "Rosa Delgado", "Samir Nair", "Tomas Novak", "Ursula Frey", "Viktor Szabo", "Wanda Kowalska", "Yara Santos", "Zora Hale",
)  # fmt: skip

COUNTRIES = {
    "Brazil": "Brazilian", "Egypt": "Egyptian", "France": "French", "Germany": "German", "Ghana": "Ghanaian",
    "Hungary": "Hungarian", "India": "Indian", "Italy": "Italian", "Japan": "Japanese", "Norway": "Norwegian",
    "Poland": "Polish", "Spain": "Spanish", "Sweden": "Swedish", "Turkey": "Turkish",
}  # fmt: skip

GENRES = (
    "adventure",
    "biography",
    "crime",
    "drama",
    "fantasy",
    "history",
    "horror",
    "humour",
    "mystery",
    "poetry",
    "romance",
    "travel",
)

CITIES = (
    "Ashford",
    "Brackwater",
    "Calder",
    "Dunmore",
    "Eastvale",
    "Fenwick",
    "Glenrock",
    "Harrow Bay",
    "Ironbridge",
    "Juniper Hill",
)

TITLES = (
    "A Map of Salt", "After the Orchard", "Amber Letters", "Bitter Almanac", "Blue Cartography", "Cold Harbour Road",
    "Copper Rain", "Distant Bells", "Early Snow", "Eleven Lanterns", "Fields of Glass", "Five Quiet Rooms", "Grey Heron",
    "Half a Kingdom", "Harvest of Stones", "House of Reeds", "Iron Lullaby", "Juniper Street", "Last Train to Oru",
    "Lemon Tree Winter", "Letters to Nobody", "Marble and Smoke", "Midnight Ferry", "Milk and Thunder", "No Further North",
    "Of Moths and Kings", "Old River Songs", "Paper Lighthouse", "Pale Horses", "Quicksilver", "Red Clay", "Second Harvest",
    "Seven Small Wars", "Silent Aviary", "Small Hours", "Stone Fruit", "Tales of the Weir", "The Clockmaker's Debt",
    "The Long Thaw", "The Moon Ledger", "The Salt Wife", "The Tin Orchard", "Thirteen Doors", "Three Winters",
    "Under the Viaduct", "Velvet Hours", "What the Tide Kept", "White Noise Valley", "Winter Circus", "Yellow Door",
)  # fmt: skip

TEMPLATES = (
    (
        ("How many {genre} books are there?", "Count the {genre} books.", "What is the number of {genre} books?"),
        "SELECT COUNT(*) FROM book WHERE genre = '{genre}'",
    ),
    (
        ("How many {genre} books came out after {year}?", "Count the {genre} books that appeared after {year}."),
        "SELECT COUNT(*) FROM book WHERE genre = '{genre}' AND year > {year}",
    ),
    (
        ("Which {genre} books have more than {pages} pages?", "List the titles of {genre} books longer than {pages} pages."),
        "SELECT title FROM book WHERE genre = '{genre}' AND pages > {pages}",
    ),
    (
        ("Which books appeared in {year} or later?", "Show the titles of all books from {year} on."),
        "SELECT title FROM book WHERE year >= {year}",
    ),
    (
        ("Which books did {author} write?", "List all titles by {author}.", "What are the titles of the books by {author}?"),
        "SELECT T1.title FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id WHERE T2.name = '{author}'",
    ),
    (
        ("Which {genre} books did {author} write?", "List the {genre} titles by {author}."),
        "SELECT T1.title FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id"
        " WHERE T2.name = '{author}' AND T1.genre = '{genre}'",
    ),
    (
        ("Who are the authors from {country} born before {year}?", "Name the authors of {country} who were born before {year}."),
        "SELECT name FROM author WHERE country = '{country}' AND birth_year < {year}",
    ),
    (
        ("Where does {author} come from?", "Which country is {author} from?"),
        "SELECT country FROM author WHERE name = '{author}'",
    ),
    (
        ("Who wrote {title}?", "What is the name of the author of {title}?"),
        "SELECT T2.name FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id WHERE T1.title = '{safe_title}'",
    ),
    (
        ("How many pages does {title} have?", "How long is {title}, in pages?"),
        "SELECT pages FROM book WHERE title = '{safe_title}'",
    ),
    (
        ("What is the longest {genre} book?", "Which {genre} book has the most pages?"),
        "SELECT title FROM book WHERE genre = '{genre}' ORDER BY pages DESC LIMIT 1",
    ),
    (
        ("What are the {count} longest {genre} books?", "Show the {count} {genre} books with the most pages, longest first."),
        "SELECT title FROM book WHERE genre = '{genre}' ORDER BY pages DESC LIMIT {count}",
    ),
    (
        ("How many pages do {genre} books have on average?", "What is the average length of the {genre} books?"),
        "SELECT AVG(pages) FROM book WHERE genre = '{genre}'",
    ),
    (
        ("Which genres have at least {count} books since {year}?", "List the genres with {count} or more books from {year} on."),
        "SELECT genre FROM book WHERE year >= {year} GROUP BY genre HAVING COUNT(*) >= {count}",
    ),
    (
        ("How many authors come from {country}?", "Count the authors from {country}."),
        "SELECT COUNT(*) FROM author WHERE country = '{country}'",
    ),
    (
        ("Which countries have authors who wrote {genre} books?", "From which countries are the authors of {genre} books?"),
        "SELECT DISTINCT T2.country FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id WHERE T1.genre = '{genre}'",
    ),
    (
        ("Which authors have not written a {genre} book?", "Name the authors without any {genre} book."),
        "SELECT name FROM author WHERE author_id NOT IN (SELECT author_id FROM book WHERE genre = '{genre}')",
    ),
    (
        ("How many loans of more than {days} days did {city} have?", "Count the loans in {city} that lasted over {days} days."),
        "SELECT COUNT(*) FROM loan AS T1 JOIN branch AS T2 ON T1.branch_id = T2.branch_id"
        " WHERE T2.city = '{city}' AND T1.days > {days}",
    ),
    (
        ("How long was {title} lent out on average?", "What is the average number of days that {title} was on loan?"),
        "SELECT AVG(T1.days) FROM loan AS T1 JOIN book AS T2 ON T1.book_id = T2.book_id WHERE T2.title = '{safe_title}'",
    ),
    (
        ("Which branches have more than {seats} seats?", "In which cities does the branch have over {seats} seats?"),
        "SELECT city FROM branch WHERE seats > {seats}",
    ),
    (
        ("In which cities was {title} lent?", "Which branches have lent {title}?"),
        "SELECT DISTINCT T3.city FROM loan AS T1 JOIN book AS T2 ON T1.book_id = T2.book_id"
        " JOIN branch AS T3 ON T1.branch_id = T3.branch_id WHERE T2.title = '{safe_title}'",
    ),
    (
        (
            "Which books are longer than the average and older than {year}?",
            "List books from before {year} with more pages than average.",
        ),
        "SELECT title FROM book WHERE year < {year} AND pages > (SELECT AVG(pages) FROM book)",
    ),
    (
        ("Which books appeared between {year} and 2023 in {genre}?", "List the {genre} books from {year} to 2023."),
        "SELECT title FROM book WHERE genre = '{genre}' AND year BETWEEN {year} AND 2023",
    ),
    (
        ("Who wrote more than {count} books?", "Which authors have more than {count} books?"),
        "SELECT T2.name FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id"
        " GROUP BY T2.author_id HAVING COUNT(*) > {count}",
    ),
)
"""Ways to ask, and the query that answers."""
