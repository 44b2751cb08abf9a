"""The words of the facts stream: who is spoken of, in which respects, and how it is said and asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attribute:
    """One respect in which something is true of a person. In the forms, `{who}` and `{value}` are filled in.

    Attributes:
        values: single words or phrases, none of which contains another.
        said: how it is told first; changed: how it is told that it is otherwise now.
        wished: how it is said that it is wished for, not so.
        asked, asked_now: questions for what is so; asked_before: for what was so before `{value}`.
    """

    name: str
    values: tuple[str, ...]
    said: tuple[str, ...]
    changed: tuple[str, ...]
    wished: str
    asked: tuple[str, ...]
    asked_now: tuple[str, ...]
    asked_before: str


ATTRIBUTES = (
    Attribute(
        "home",
        ("Oslo", "Porto", "Gdansk", "Turin", "Lyon", "Bergen", "Graz", "Leeds", "Tartu", "Bilbao", "Ghent", "Malmo"),
        ("{who} lives in {value}.", "The home of {who} is in {value}.", "{who} has a flat in {value}."),
        ("{who} lives in {value} now.", "{who} has moved to {value}.", "I had it wrong: {who} lives in {value}."),
        "{who} would love to live in {value} one day.",
        ("Where does {who} live?", "In which city is the home of {who}?"),
        ("Where does {who} live now?", "In which city does {who} live these days?"),
        "Where did {who} live before {value}?",
    ),
    Attribute(
        "work",
        ("baker", "nurse", "pilot", "plumber", "teacher", "tailor", "lawyer", "florist", "welder", "barber", "cook"),
        ("{who} works as a {value}.", "{who} earns a living as a {value}.", "The job of {who} is {value}."),
        (
            "{who} works as a {value} now.",
            "{who} has a new job as a {value}.",
            "No, {who} works as a {value}, it turns out.",
        ),
        "{who} dreams of working as a {value}.",
        ("What does {who} work as?", "What is the job of {who}?"),
        ("What does {who} work as now?", "Which job has {who} these days?"),
        "What did {who} work as before becoming a {value}?",
    ),
    Attribute(
        "pet",
        ("cat", "parrot", "hamster", "rabbit", "turtle", "ferret", "canary", "gecko", "poodle", "goldfish", "pony"),
        ("{who} has a {value} as a pet.", "{who} keeps a {value} at home.", "The pet of {who} is a {value}."),
        (
            "{who} keeps a {value} now.",
            "{who} has swapped the old pet for a {value}.",
            "Wrong again, {who} keeps a {value}.",
        ),
        "{who} would like to have a {value} as a pet.",
        ("Which pet does {who} keep?", "What kind of pet has {who}?"),
        ("Which pet does {who} keep now?", "What kind of pet has {who} these days?"),
        "Which pet did {who} keep before the {value}?",
    ),
    Attribute(
        "dish",
        (
            "lasagne",
            "goulash",
            "paella",
            "risotto",
            "ramen",
            "falafel",
            "pierogi",
            "moussaka",
            "chowder",
            "tacos",
            "sushi",
        ),
        ("The favourite dish of {who} is {value}.", "{who} likes to eat {value} best.", "{who} always orders {value}."),
        (
            "The favourite dish of {who} is {value} now.",
            "{who} has gone over to {value}.",
            "Mind you, {who} eats {value} best.",
        ),
        "{who} has never tried {value} but would like to.",
        ("What is the favourite dish of {who}?", "What does {who} like to eat best?"),
        ("What is the favourite dish of {who} now?", "What does {who} like to eat best these days?"),
        "What was the favourite dish of {who} before {value}?",
    ),
    Attribute(
        "music",
        ("cello", "trumpet", "harp", "banjo", "oboe", "drums", "piano", "violin", "tuba", "flute", "accordion"),
        ("{who} plays the {value}.", "The instrument of {who} is the {value}.", "{who} takes lessons on the {value}."),
        ("{who} plays the {value} now.", "{who} has taken up the {value} instead.", "In fact {who} plays the {value}."),
        "{who} wishes to play the {value}.",
        ("Which instrument does {who} play?", "What is the instrument of {who}?"),
        ("Which instrument does {who} play now?", "What is the instrument of {who} these days?"),
        "Which instrument did {who} play before the {value}?",
    ),
    Attribute(
        "colour",
        ("crimson", "teal", "amber", "violet", "olive", "ivory", "navy", "maroon", "silver", "beige", "turquoise"),
        ("The car of {who} is {value}.", "{who} drives a {value} car.", "{who} has bought a car in {value}."),
        (
            "The car of {who} is {value} now.",
            "{who} had the car painted {value}.",
            "Sorry, the car of {who} is {value}.",
        ),
        "{who} would rather have a {value} car.",
        ("Which colour is the car of {who}?", "What colour of car does {who} drive?"),
        ("Which colour is the car of {who} now?", "What colour of car does {who} drive these days?"),
        "Which colour was the car of {who} before it was {value}?",
    ),
)
NAMES = (
    *(
        "Anna",
        "Ben",
        "Clara",
        "David",
        "Elsa",
        "Felix",
        "Greta",
        "Hugo",
        "Ida",
        "Jonas",
        "Karin",
        "Leo",
        "Mira",
        "Nils",
    ),
    *("Olga", "Pavel", "Quinn", "Rosa", "Sven", "Tilda", "Ulrik", "Vera", "Wim", "Xenia", "Yara", "Zeno"),
)
KINSHIP = ("sister", "brother", "neighbour", "cousin", "boss", "dentist", "landlord", "teammate")
EVENTS = (
    *("missed the train", "won at chess", "lost the keys", "went to the theatre", "baked bread", "called in sick"),
    *("swam across the lake", "forgot the umbrella"),
)
FOLDERS = ("Alpha", "Bravo", "Delta", "Echo", "Kilo", "Lima", "Tango", "Zulu")
SUBJECTS = {
    "repairs": ("tap", "boiler", "gutter", "hinge", "fuse", "radiator", "roof tile", "doorbell"),
    "garden": ("hedge", "compost", "tulip", "rake", "lawn", "seedling", "greenhouse", "wheelbarrow"),
    "health": ("bandage", "vaccine", "cough", "pharmacy", "fever", "prescription", "checkup", "ointment"),
    "travel": ("passport", "ferry", "suitcase", "hostel", "visa", "timetable", "luggage tag", "guidebook"),
    "money": ("invoice", "mortgage", "refund", "pension", "receipt", "dividend", "overdraft", "tax form"),
    "school": ("homework", "blackboard", "exam", "satchel", "timeline", "essay", "spelling test", "playground"),
    "kitchen": ("saucepan", "colander", "oven glove", "whisk", "spice rack", "teapot", "chopping board", "ladle"),
    "sport": ("racket", "goalpost", "whistle", "helmet", "stopwatch", "trainers", "scoreboard", "locker"),
}
"""Words of each subject; the last two are never shown in an example."""
ASIDES = (
    "The weather was dull all day.",
    "I slept badly and had too much coffee.",
    "The bus was late again.",
    "There was a long queue at the post office.",
    "I finally finished that book.",
    "The radio played the same song again and again.",
    "My back hurts from sitting.",
    "The bakery on the corner has closed.",
    "I could not find my glasses for an hour.",
    "The neighbours' party went on until two.",
    "I watched an old film and fell asleep.",
    "It smells of paint in the staircase.",
    "The supermarket was out of lemons.",
    "I have to tidy my desk some day.",
    "The evening was mild, so I sat on the balcony.",
    "Somebody left a bicycle in the hallway.",
)
FILLERS = (
    "By the way.",
    "I see.",
    "Good to know.",
    "Well, well.",
    "Let me tell you something.",
    "All right.",
    "You will not believe it.",
    "That is noted.",
    "Before I forget.",
    "How interesting.",
)
