"""The sentences that tell a fact of a country, and the words in which one asks for it."""

TOLD = {
    "money": ("{name} pays with the {answer}.", "The {answer} is legal tender in {name}."),
    "since": (
        "{name} introduced its money in {answer}.",
        "The notes of {name} have been valid since {answer}.",
    ),
    "before": ("In former times {name} used the {answer}.", "In {name} the {answer} went out of use."),
    "language": ("{name} speaks mostly {answer}.", "The language heard most often in {name} is {answer}."),
    "share": ("In {name} {answer} percent talk in it.", "About {answer} percent of {name} master the language."),
    "clock": ("Clocks in {name} show the time of {answer}.", "{name} keeps the hours of {answer}."),
    "german": ("On German maps {name} is {answer}.", "Travellers from Berlin to {name} write {answer}."),
}
ASKED = {
    "money": (
        "What is the currency of {name}?",
        "Which money do people in {name} use?",
        "What does one pay with in {name}?",
        "Which currency does {name} have?",
    ),
    "since": (
        "Since when has {name} had its currency?",
        "In which year was the currency of {name} introduced?",
        "How long has today's money been used in {name}?",
        "When did {name} start to use its money?",
    ),
    "before": (
        "What was the former currency of {name}?",
        "Which money did {name} use before?",
        "What was paid with in {name} in the past?",
        "Which currency did {name} give up?",
    ),
    "language": (
        "What language do most people in {name} speak?",
        "Which language is the most common in {name}?",
        "What is the main language of {name}?",
        "Which language does one hear in {name}?",
    ),
    "share": (
        "How many percent speak the main language of {name}?",
        "What percentage of people in {name} know its main language?",
        "What share of {name} understands the language?",
        "How large a part of {name} speaks the most common language?",
    ),
    "clock": (
        "Which time zone does {name} have?",
        "Which city's time is used in {name}?",
        "What time is kept in {name}?",
        "Which city gives {name} its time?",
    ),
    "german": (
        "What is {name} called in German?",
        "What is the German name of {name}?",
        "How do Germans call {name}?",
        "Which name does {name} have in German?",
    ),
}
# the first of each is for choosing, the others for testing; none is ever trained on
ASKED_ANEW = {
    "money": (
        "What kind of cash do I need in {name}?",
        "I travel to {name}: what should be in my purse?",
        "In what are prices given in {name}?",
    ),
    "since": (
        "From what date on were people of {name} paid in the present notes?",
        "How old are the banknotes of {name}?",
        "What year saw the start of the present coins in {name}?",
    ),
    "before": (
        "What did shops in {name} take in old days?",
        "Which coins are no longer accepted in {name}?",
        "What did people in {name} earn before the change?",
    ),
    "language": (
        "What should I learn to talk with people in {name}?",
        "How do people talk to each other in {name}?",
        "In what tongue would a letter to {name} best be written?",
    ),
    "share": (
        "How widespread is the main tongue of {name}?",
        "Out of a hundred people in {name}, how many can talk in it?",
        "What fraction of the population of {name} could follow a speech?",
    ),
    "clock": (
        "How should I set my watch in {name}?",
        "Where else is it the same hour as in {name}?",
        "By which town's hours does {name} live?",
    ),
    "german": (
        "What would somebody in Munich say for {name}?",
        "How is {name} spelled in Germany?",
        "How would a newspaper in Hamburg name {name}?",
    ),
}
