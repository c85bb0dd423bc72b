"""English opinion words and everyday words for the synthetic spoken movie reviews.

POSITIVE and NEGATIVE run from the mildest word to the strongest, NEUTRAL from the most
frequent word to the rarest. The grading is this lab's own ordering, not a published lexicon.
No word stands in two of the tables, and every word is a single token.
"""

POSITIVE = tuple(
    """
    okay passable adequate sufficient workable acceptable alright serviceable watchable
    satisfactory fair reasonable decent fine competent capable sensible coherent plausible
    believable credible consistent respectable tidy neat relatable cute pleasant agreeable nice
    nicely likable amiable friendly easygoing cozy wholesome sweet sincere amusing relaxing
    interesting promising solid liked good appealing smooth worthwhile lively upbeat cheerful
    playful tasteful thoughtful stylish funny fun enjoyed enjoyable enjoy entertaining pleasing
    pleased glad happy worthy rewarding satisfying satisfied clever witty smart fresh creative
    inventive imaginative ingenious charming charm warm heartfelt tender touching heartwarming
    polished skillful skillfully talented gifted engaging intriguing absorbing memorable
    insightful refreshing uplifting recommend recommended impressed admirable commendable
    impressive vivid elegant lovely lovable adorable delightful delight delighted hilarious
    compelling poignant powerful gripping captivating enchanting engrossing riveting inspiring
    exciting excited enthralling thrilling thrilled exhilarating joyous joyful irresistible great
    beautiful beautifully gorgeous wonderful wonderfully splendid marvelous fabulous terrific
    fantastic excellent superb superbly glorious gem treasure loved love adored awesome amazing
    amazed brilliant brilliantly stellar outstanding exceptional remarkable extraordinary triumph
    triumphant unforgettable stunning dazzling dazzled sensational spectacular magnificent
    magnificently breathtaking mesmerizing spellbinding astonishing astounding incredible
    exquisite sublime masterful masterfully electrifying unmissable genius virtuoso timeless
    legendary unrivaled unsurpassed unmatched peerless incomparable transcendent miraculous
    flawless flawlessly perfect perfection masterwork masterpiece phenomenal
    """.split()
)

NEGATIVE = tuple(
    """
    meh middling unremarkable unexceptional slow predictable uneven patchy overlong unsurprising
    dated outdated inconsistent generic formulaic derivative unoriginal repetitive forgettable
    unclear vague murky bland flat stale sluggish draggy drags dragged corny cheesy hokey sappy
    mushy syrupy contrived hackneyed stilted wooden stiff awkward clunky clumsy choppy disjointed
    cluttered muddled messy rushed undercooked underdeveloped unfocused unconvincing unconvinced
    implausible improbable confusing confused convoluted overdone overwrought overrated overhyped
    lackluster underwhelming underwhelmed uninspired uninspiring mediocre shallow flawed flimsy
    weak unfunny humorless monotonous plodding tiresome tiring wearisome dull dreary drab boring
    bored boredom tedious lifeless hollow soulless unsatisfying unsatisfied disappointing
    disappointed disappointment letdown frustrating annoying annoyed irritating grating preachy
    smug pretentious unlikable unappealing unpleasant charmless subpar inferior sloppy careless
    lazy tacky shoddy amateurish lame crummy poor poorly bad badly lousy inept incompetent botched
    bungled dumb stupid nonsense nonsensical senseless brainless inane asinine ridiculous
    laughable ludicrous pointless useless incoherent failed failure flop junk rubbish trash
    garbage pathetic miserable embarrassing embarrassment cringeworthy painful regret regretted
    waste wasted insult insulting hopeless worthless insufferable unbearable intolerable agonizing
    excruciating hate hated dreadful awful terrible horrible horrid wretched ghastly hideous
    horrendous disgraceful shameful debacle fiasco travesty disastrous catastrophe disgusting
    disgusted repulsive revolting vile despised loathed detest loathsome worst appalling abysmal
    abomination atrocious unwatchable
    """.split()
)

NEGATORS = ('not', 'never', 'hardly', "isn't")

INTENSIFIERS = (
    'very',
    'really',
    'so',
    'extremely',
    'totally',
    'absolutely',
    'completely',
    'utterly',
)

DIMINISHERS = ('somewhat', 'slightly', 'fairly', 'kinda', 'rather')

NEUTRAL = tuple(
    """
    the i and to it of a that was is in you this but um for know with uh have it's on they movie
    he as are be my what we at there she all about his one just from or me had who if an when some
    her out were because by think film them up how has see their him then would do can that's
    people i'm which story get got going characters watch saw say into time character said where
    go these scene other make made guess two first also scenes after end movies actor actually
    plot been over before guy director thing through played man watching basically films actors
    plays part book cast actress role while anyway acting ending minutes screen script music
    theater camera another during trailer sequel series audience dialogue hour studio soundtrack
    dvd opening genre premise credits cinema costumes editing screenplay narrator cinematography
    """.split()
)
