"""Words for the vocabulary of many words that name nothing in any image; data only."""

ABSENT_COLORS = (
    "pink", "brown", "grey", "turquoise", "magenta", "olive", "maroon", "beige", "khaki", "silver",
    "bronze", "transparent",
)  # fmt: skip
ABSENT_SHAPES = (
    "hexagon", "octagon", "arrow", "spiral", "zigzag", "cube", "cone", "cylinder", "teardrop",
    "lightning bolt", "rectangle", "parallelogram", "clover", "gear", "spade", "anchor", "arch",
    "ladder", "helix", "grid",
)  # fmt: skip
ABSENT_THINGS = (
    "person", "dog", "cat", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "bird", "duck", "owl", "eagle", "penguin", "fish", "shark", "whale", "dolphin", "turtle",
    "snake", "frog", "lizard", "spider", "bee", "butterfly", "ant", "rabbit", "squirrel", "fox",
    "wolf", "lion", "tiger", "monkey", "kangaroo", "deer", "goat", "pig", "chicken", "mouse",
    "car", "bus", "truck", "train", "bicycle", "motorcycle", "airplane", "helicopter", "rocket",
    "boat", "ship", "submarine", "tractor", "tram", "scooter", "skateboard", "wheelchair",
    "traffic light", "stop sign", "parking meter", "fire hydrant", "street lamp", "bench",
    "chair", "table", "sofa", "bed", "wardrobe", "shelf", "desk", "lamp", "mirror", "clock",
    "vase", "carpet", "curtain", "pillow", "blanket", "towel", "candle", "basket", "bucket",
    "bottle", "cup", "plate", "bowl", "fork", "knife", "spoon", "pan", "kettle", "toaster",
    "oven", "fridge", "sink", "bathtub", "toilet", "washing machine", "vacuum cleaner", "broom",
    "apple", "banana", "grape", "pear", "cherry", "strawberry", "pineapple", "carrot", "potato",
    "tomato", "onion", "cabbage", "pumpkin", "mushroom", "bread", "cheese", "egg", "cake",
    "pizza", "sandwich", "donut", "ice cream", "coffee", "tea", "book", "newspaper", "pencil",
    "scissors", "stapler", "envelope", "suitcase", "backpack", "umbrella", "handbag", "wallet",
    "watch", "necklace", "glasses", "hat", "scarf", "glove", "coat", "shirt", "trousers", "skirt",
    "shoe", "boot", "sock", "belt", "computer", "keyboard", "monitor", "phone", "camera",
    "television", "radio", "headphones", "microphone", "guitar", "piano", "violin", "trumpet",
    "drum", "ball", "kite", "racket", "surfboard", "snowboard", "helmet", "tent", "rope",
    "hammer", "saw", "screwdriver", "drill", "wrench", "nail", "paintbrush", "shovel", "rake",
    "tree", "bush", "flower", "cactus", "palm", "moss", "hedge", "forest", "mountain", "hill",
    "volcano", "waterfall", "river", "swamp", "desert", "cave", "bridge", "tunnel", "tower",
    "castle", "church", "house", "barn", "lighthouse", "windmill", "stadium", "fence", "gate",
    "door", "window", "roof", "chimney", "staircase", "escalator", "elevator", "fountain",
    "statue", "flag", "balloon", "glass", "metal", "plastic", "rubber", "leather", "paper",
    "cardboard", "concrete", "marble", "lava", "smoke", "fire",
)  # fmt: skip
