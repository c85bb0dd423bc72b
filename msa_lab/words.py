"""The readable words of the stand-in data.

`POSITIVE` and `NEGATIVE` run from the mildest to the strongest word; the order is this lab's own,
not a published lexicon. `NEUTRAL` runs from the most frequent word down. One word is one token.
"""

POSITIVE = tuple(
    """
    okay alright acceptable passable workable fine decent adequate tolerable watchable fair
    reasonable serviceable competent capable sensible suitable proper neat tidy clear coherent
    easy light mild soft calm gentle harmless agreeable relaxed comfortable steady reliable
    solid sound careful balanced useful helpful handy worthwhile respectable promising improved
    cute sweet nice pleasant likeable likable amusing entertaining good friendly kind warm cozy
    charming endearing pretty fresh lively spirited playful cheerful happy glad pleased
    satisfied satisfying positive upbeat fun funny enjoyable enjoyed enjoy like liked appealing
    attractive interesting engaging intriguing smart clever witty bright colorful crisp stylish
    polished skillful skilled talented graceful elegant tasteful deft honest sincere heartfelt
    touching tender thoughtful meaningful insightful refreshing inventive creative original
    imaginative memorable rewarding impressive impressed strong confident convincing believable
    authentic exciting excited thrilling energetic hilarious delightful delighted lovely lovable
    adorable beautiful beautifully gorgeous stunning captivating compelling gripping riveting
    absorbing fascinating enchanting uplifting inspiring inspired moving powerful vivid rich
    radiant sparkling dazzling remarkable recommend admirable great happily joyful joy loved
    love loving grateful triumphant excellent superb splendid marvelous wonderful terrific
    fantastic fabulous awesome amazing amazed astonishing breathtaking spectacular sensational
    magnificent glorious epic outstanding exceptional extraordinary exquisite brilliant genius
    incredible phenomenal unforgettable stellar flawless sublime divine perfect perfection
    masterful masterpiece
    """.split()
)

NEGATIVE = tuple(
    """
    meh ordinary average plain slow thin uneven long predictable routine formulaic generic bland
    flat dry muted vague loose patchy shaky stiff cold distant awkward clumsy odd weird strange
    confusing confused unclear muddled messy cluttered noisy loud cheap tacky dated stale tired
    recycled derivative unoriginal forgettable unremarkable mediocre underwhelming lacking empty
    hollow shallow superficial weak limp lifeless dull boring bored tedious dragging repetitive
    monotonous drab dreary gloomy sad unhappy sorry uneasy unpleasant unlikable annoying annoyed
    irritating irritated grating tiresome tiring exhausting forced contrived artificial fake
    phony wooden bloated overlong overrated pretentious smug preachy cheesy corny silly childish
    dumb stupid foolish mindless senseless pointless meaningless aimless useless lazy careless
    sloppy amateurish incompetent clueless incoherent nonsense nonsensical illogical implausible
    unconvincing unbelievable unfunny disappointing disappointed letdown frustrating frustrated
    upset angry cringe embarrassing embarrassed mess flawed failed failure fails bad badly poor
    poorly lousy lame crude ugly nasty mean cruel creepy gross unfair dishonest insulting
    insulted offensive offended obnoxious insufferable intolerable unbearable painful painfully
    miserable dreadful awful terrible terribly horrible horribly horrid rotten ruined wreck
    ridiculous absurd laughable pathetic hopeless worthless garbage trash rubbish wasted
    disgusting repulsive revolting hate hated hateful loathe loathsome disgrace disgraceful
    shameful appalling abysmal atrocious horrendous unwatchable disaster catastrophe worst
    abomination
    """.split()
)

NEGATORS = ('not', 'never', 'hardly', "isn't")
INTENSIFIERS = ('very', 'really', 'so', 'extremely', 'totally', 'absolutely', 'truly', 'such')
DIMINISHERS = ('somewhat', 'slightly', 'fairly', 'kinda', 'rather')

NEUTRAL = tuple(
    """
    the i and to it of a that was is you in this they he but she um uh know for with on my at we
    all just what when about have there as if his her be then because or from one by their them
    had me who were out up how more into some which are an do did can will would could movie
    film see saw watch watched think thought say said go went get got come came back time people
    guy man woman kid kids friend family first second part two three whole other another after
    before again over where why while through during also even still only each both end
    beginning middle story plot scene scenes actor actors actress character characters director
    script dialogue music soundtrack camera screen theater trailer book version series role cast
    set minutes hour hours year years day night week today
    """.split()
)
