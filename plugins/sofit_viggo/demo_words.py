"""The words of the demo set: invented games, and templates for what people say about games.

In a modifier, `*` stands for the noun that it modifies and `{}` for the value: "* from {}" makes "games from 2014".
"""

TITLES = (
    "Amber Tide", "Arrow and Antler", "Ashen Choir", "Beyond the Weir", "Black Sugar", "Blue Hour Racing", "Bramble Knights",
    "Canyon Courier", "Chalk Giants", "Clockwork Harbor", "Copper Saints II", "Crown of Nettles", "Dead Signal 3", "Deep Field",
    "Dragon's Ledger", "Drift County", "Echoes of Marrow", "Farewell, Pluto", "Fever League 2016", "Foxglove", "Gallows Garden",
    "Glass Citadel: Origins", "Harrow's End", "Hollow Atlas", "Iron Orchard", "Juniper Station", "King of Kites",
    "Lanterns of Oru", "Last Ferry Home", "Little Big Storm", "Marble Run Deluxe", "Midnight Cartographer", "Monsoon Drift",
    "Needle & Thread", "Night Bus", "Old Salt: A Sea Story", "Orbit Mechanics", "Paper Wolves", "Pepper Panic", "Quarry",
    "Rally Atlas 4", "Red Lichen", "Runes of Valdis", "Sandcastle Wars", "Seven Bridges", "Skyhook Legends", "Snowblind 2",
    "Starfall Tactics", "Tales of the Tin Crow", "The Beekeeper's Daughter", "The Long Ascent", "Thunder Gulch", "Turnpike",
    "Umbra VII", "Velvet Rebellion", "Warden: The Lost Mile", "Whispering Pines", "Winter Circuit", "Yesterday's Machine",
    "Zero Meridian",
)  # fmt: skip

DEVELOPERS = (
    "Anvil & Oak", "Bad Compass", "Blue Ferret Games", "Brass Lantern", "Cinderblock Studios", "Dawnpost", "Eleven Sparrows",
    "Fernweh Interactive", "Fjord Nine", "Granite Owl", "Half Acre Games", "Hidden Harbor", "Hollow Pine", "Jetlag Entertainment",
    "Kestrel Works", "Lucky Badger", "Maple Circuit", "Night Shift Software", "Northlight Forge", "Odd Umbrella", "Orange Crater",
    "Polar Kite", "Quartz Monkey", "Redwood Arcade", "Second Moon", "Silver Otter Studios", "Tall Grass, Inc.", "Third Bell",
    "Umber Digital", "Wandering Goat",
)  # fmt: skip

RELEASE_YEARS = tuple(str(year) for year in range(1994, 2020))

RELEASE_DATES = (
    "January 17, 2027", "February 26, 2027", "March 9, 2027", "April 30, 2027", "May 21, 2027", "June 4, 2027", "August 13, 2027",
    "September 24, 2027", "October 8, 2027", "November 19, 2027", "2027", "2028",
)  # fmt: skip

AGE_RATINGS = {
    "E (for Everyone)": "E",
    "E 10+ (for Everyone 10 and Older)": "E 10+",
    "T (for Teen)": "T",
    "M (for Mature)": "M",
}
"""The value, and what people call it."""

GENRES = (
    "action", "action, platformer", "action, strategy", "action-adventure", "action-adventure, puzzle",
    "action-adventure, shooter", "adventure, indie", "adventure, point-and-click", "adventure, puzzle",
    "adventure, role-playing", "arcade", "driving/racing", "driving/racing, simulation", "driving/racing, sport", "fighting",
    "indie, platformer", "indie, platformer, puzzle", "indie, puzzle", "indie, strategy", "music", "platformer", "puzzle",
    "role-playing", "role-playing, strategy", "shooter", "simulation", "simulation, sport", "simulation, strategy", "sport",
    "strategy", "vehicular combat",
)  # fmt: skip

SPOKEN_GENRES = {"driving/racing": ("driving/racing", "racing", "driving"), "sport": ("sport", "sports")}

PERSPECTIVES = ("first person", "third person", "side view", "bird view", "first person, third person")

PLATFORMS = (
    "PlayStation", "Xbox", "Nintendo", "Nintendo Switch", "PC", "PlayStation, Xbox", "Xbox, PC", "PlayStation, PC",
    "PlayStation, Xbox, PC", "Nintendo, PC", "PlayStation, Nintendo Switch",
)  # fmt: skip

SPECIFIERS = (
    "absorbing", "addictive", "beautiful", "bizarre", "boring", "challenging", "cheap", "clever", "confusing", "cozy", "creepy",
    "disappointing", "easy", "exciting", "forgettable", "frustrating", "fun", "funny", "gloomy", "gory", "gripping", "memorable",
    "moving", "overhyped", "peaceful", "polished", "realistic", "relaxing", "rewarding", "sad", "scary", "short", "silly", "slow",
    "strange", "surprising", "tense", "tricky", "underrated", "violent",
)  # fmt: skip

SUPERLATIVES = ("best", "cheapest", "easiest", "fastest", "funniest", "hardest", "latest", "longest", "oldest", "prettiest",
                "saddest", "scariest", "shortest", "silliest", "strangest", "worst")  # fmt: skip

MODIFIERS = {
    "genres": ("{} *",),
    "has_multiplayer=yes": ("multiplayer *", "* with multiplayer"),
    "has_multiplayer=no": ("single-player *", "* without multiplayer"),
    "player_perspective": ("{} *", "* in {}"),
    "rating=excellent": ("excellent *", "amazing *"),
    "rating=good": ("good *", "pretty good *"),
    "rating=average": ("average *", "mediocre *"),
    "rating=poor": ("poor *", "bad *"),
    "esrb": ("{} rated *", "* rated {}"),
    "platforms": ("{} *", "* for {}", "* on {}"),
    "release_year": ("{} *", "* from {}", "* released in {}", "* that came out in {}"),
    "exp_release_date": ("* planned for {}", "* scheduled for {}"),
    "developer": ("* by {}", "* made by {}", "* developed by {}"),
    "available_on_steam=yes": ("* on Steam", "* available on Steam"),
    "available_on_steam=no": ("* missing from Steam", "* not available on Steam"),
    "has_linux_release=yes": ("* with a Linux release", "* with Linux support"),
    "has_linux_release=no": ("* without a Linux release", "* without Linux support"),
    "has_mac_release=yes": ("* with a Mac release", "* with Mac support"),
    "has_mac_release=no": ("* without a Mac release", "* without Mac support"),
}
"""How an attribute, or one value of it, joins a noun; in the order in which they are put around it, from the inside."""

STATEMENTS = {
    "exp_release_date": (
        "It is not out yet; the release is planned for {}.",
        "It is scheduled for {}.",
        "The planned release date is {}.",
    ),
    "release_year": ("It was released in {}.", "It came out in {}.", "Its release year is {}."),
    "developer": ("It was developed by {}.", "It was made by {}.", "The developer is {}."),
    "esrb": ("It is rated {}.", "Its ESRB rating is {}."),
    "rating=excellent": ("The reviews are excellent.", "Players think it is excellent."),
    "rating=good": ("The reviews are good.", "Players think it is good."),
    "rating=average": ("The reviews are average.", "Players think it is average."),
    "rating=poor": ("The reviews are poor.", "Players think it is poor."),
    "player_perspective": ("The perspective is {}.", "It is played in {}."),
    "has_multiplayer=yes": ("It has multiplayer.", "There is a multiplayer mode.", "You can play it with friends."),
    "has_multiplayer=no": ("It has no multiplayer.", "You can only play it alone."),
    "platforms": ("It is available for {}.", "You can play it on {}.", "It runs on {}."),
    "available_on_steam=yes": ("You can get it on Steam.", "Steam has it."),
    "available_on_steam=no": ("You can't get it on Steam.", "It is not on Steam."),
    "has_linux_release=yes": ("There is a Linux release.", "It supports Linux."),
    "has_linux_release=no": ("There is no Linux release.", "It does not support Linux."),
    "has_mac_release=yes": ("There is a Mac release.", "It supports Mac."),
    "has_mac_release=no": ("There is no Mac release.", "It does not support Mac."),
}
"""What `inform` adds about a game, a sentence an attribute; in the order in which they are said."""

INFORM = (
    "{name} is {a_game}.",
    "There is {a_game} called {name}.",
    "In {name} you get {a_game}.",
    "Let me tell you about {name}, {a_game}.",
)

CONFIRM = (
    "Do you mean {name}, the {game}?",
    "You mean {name}, the {game}?",
    "Are you talking about {name}, the {game}?",
    "Are you referring to the {game} called {name}?",
    "So it's {name} you mean, the {game}, right?",
    "{name}, that's the {game}, isn't it?",
    "Just to be sure, you mean the {game} named {name}?",
    "Is that {name}, the {game}, or another one?",
)

RECOMMEND = (
    "Have you tried {name}? It's {a_game}.",
    "Since you want {a_game}, have you played {name} yet?",
    "If you're looking for {a_game}, you should give {name} a try. Have you heard of it?",
    "I know {a_game} that you might enjoy, {name}. Have you played it?",
    "{name} is {a_game} worth checking out. Do you know it?",
    "You should really try {name}, {a_game}. Ever played it?",
    "I just remembered {a_game} for you. Have you ever tried {name}?",
)

SUGGEST = (
    "Do you like {games} such as {name}?",
    "Do you enjoy {games}, like {name}?",
    "Have you played any {games} such as {name}?",
    "What do you think of {games} like {name}?",
    "Are you into {games}, for example {name}?",
    "How do you feel about {games} along the lines of {name}?",
    "Are {games} like {name} something you would play?",
)

REQUEST = (
    "Do you know any {specifier} {games}?",
    "Can you think of {a_specifier} {game}?",
    "What is {a_specifier} {game} that you have played?",
    "Have you come across any {specifier} {games} lately?",
    "Is there {a_specifier} {game} that you could name?",
    "Which {game} would you call {specifier}?",
)

REQUEST_SUPERLATIVE = (
    "What's the {specifier} {game} you have ever played?",
    "Which is the {specifier} {game} you know of?",
    "What would you say is the {specifier} {game}?",
    "Can you name the {specifier} {game} you own?",
)

VERDICTS = {
    "excellent": (
        "I absolutely love {name}.",
        "{name} is one of the best games I have ever played.",
        "{name} is a masterpiece.",
        "I'm crazy about {name}.",
    ),
    "good": ("I quite like {name}.", "{name} is a pretty good game.", "I had fun with {name}.", "{name} is a solid game."),
    "average": (
        "{name} is just okay.",
        "I have mixed feelings about {name}.",
        "{name} is neither good nor bad.",
        "{name} is nothing special.",
    ),
    "poor": ("I can't stand {name}.", "{name} is a terrible game.", "I really dislike {name}.", "{name} is a waste of time."),
}
"""How `give_opinion` opens, by rating."""

REASONS = {
    "excellent": ("{games} are the greatest thing there is.", "Nothing beats {games}.", "I adore {games}."),
    "good": ("{games} are usually fun for me.", "I tend to enjoy {games}.", "I'm rather fond of {games}."),
    "average": ("{games} neither excite nor bore me.", "I can take or leave {games}.", "I rarely get excited by {games}."),
    "poor": ("{games} are just not for me.", "I never enjoy {games}.", "I have no patience for {games}."),
}
"""How `give_opinion` goes on."""

MEMORIES = {
    "excellent": (
        "You said that you loved {name}.",
        "I remember how much you adored {name}.",
        "You told me that {name} was amazing.",
    ),
    "good": (
        "You said that you liked {name}.",
        "I remember you had fun with {name}.",
        "You told me that {name} was pretty good.",
    ),
    "average": (
        "You said that {name} was just okay.",
        "I remember you found {name} so-so.",
        "You told me that {name} was nothing special.",
    ),
    "poor": (
        "You said that you hated {name}.",
        "I remember how much you disliked {name}.",
        "You told me that {name} was terrible.",
    ),
}
"""How `verify_attribute` opens, by rating."""

CHECKS = (
    "Do you feel the same about other {games}?",
    "Is it the same with {games} in general?",
    "Does that go for most {games}?",
    "Would you say that about all {games}?",
    "Is that how you usually find {games}?",
)
"""How `verify_attribute` goes on."""

EXPLANATIONS = {
    "excellent": ("Why do you love {games} so much?", "What makes {games} so amazing to you?", "How come you adore {games}?"),
    "good": ("Why do you like {games}?", "What is it about {games} that you enjoy?", "How come you have fun with {games}?"),
    "average": (
        "Why do you find {games} just okay?",
        "What makes {games} merely average to you?",
        "How come {games} are nothing special to you?",
    ),
    "poor": (
        "Why do you hate {games} so much?",
        "What is it about {games} that you dislike?",
        "How come you can't stand {games}?",
    ),
}
"""What `request_explanation` says, by rating."""

PREFERENCES = {
    "release_year": ("release year", "year of release"),
    "developer": ("developer", "game studio"),
    "esrb": ("ESRB rating", "age rating"),
    "genres": ("genre", "type of game"),
    "player_perspective": ("player perspective", "point of view"),
    "platforms": ("platform", "gaming system"),
}
"""What `request_attribute` may ask for by a "which"."""

PREFERENCE_QUESTIONS = (
    "Which {thing} do you prefer?",
    "Do you have a favorite {thing}?",
    "What {thing} do you usually go for?",
    "Is there a {thing} that you like most?",
    "What would be your ideal {thing}?",
    "Does the {thing} matter to you when you pick a game?",
    "What {thing} do you care about most?",
    "How do you choose the {thing} of your games?",
)

FEATURES = {
    "has_multiplayer": ("multiplayer", "playing with others"),
    "available_on_steam": ("being on Steam", "a Steam release"),
    "has_linux_release": ("Linux support", "a Linux release"),
    "has_mac_release": ("Mac support", "a Mac release"),
}
"""What `request_attribute` may ask for by a "whether"."""

FEATURE_QUESTIONS = (
    "Is {thing} important to you?",
    "How much do you care about {thing}?",
    "Does {thing} matter to you when you pick a game?",
    "Do you prefer games for {thing}?",
    "Would {thing} make you choose one game over another?",
    "Is {thing} something you look for in a game?",
    "How big a deal is {thing} for you?",
    "Do you check for {thing} before you buy a game?",
)

OPENERS = ("", "", "", "So, ", "By the way, ", "Just curious, ", "Tell me, ", "Hey, ")
"""What may stand before a question; often nothing."""

QUESTION_WORDS = ("Are ", "Can ", "Do ", "Does ", "Have ", "How ", "Is ", "What", "Which ", "Why ", "Would ")
