"""Every configuration key of SAN beside Detectron2's own, its default, and what it does.

Keys and defaults are those of the published SAN, so that its YAML files and command lines work.
Importing this module registers the meta-architectures and the data sets with Detectron2.
"""

from pathlib import Path

import yaml
from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg
from detectron2.projects.deeplab import add_deeplab_config

import san.data.datasets
import san.modeling.meta_arch  # noqa: F401  (both imports register names)
from san.errors import UserError

_CONFIG_FOLDERS = (Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs")


def add_san_config(cfg):
    """Add the keys of SAN to ``cfg``, a Detectron2 config that has DeepLab's keys already."""
    _add_input_keys(cfg.INPUT)
    # Every training crop is padded to one size, so there is nothing to group
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    _add_solver_keys(cfg.SOLVER)
    cfg.MODEL.SAN = _san_keys()
    cfg.MODEL.SIDE_ADAPTER = _side_adapter_keys()
    _add_clip_training_keys(cfg)
    _add_dense_clip_keys(cfg)
    _add_evaluation_keys(cfg.TEST)
    # How DATASETS.TEST is evaluated: "": INPUT's sizes and the data sets' own names; else a folder
    # of configs/protocols ("san", "sclip", "maskclip", "common") or one of one's own
    cfg.TEST.PROTOCOL = ""
    # Vocabulary file with the words of the labels, in place of those of the protocol or the data
    # sets; "": none
    cfg.TEST.VOCABULARY = ""
    # What the network computes in after training: "float32", "bfloat16" or "float16"
    cfg.TEST.DTYPE = "float32"
    # Attention is always the fused one of PyTorch; kept because published files may set it
    cfg.MODEL.FLASH = False
    cfg.WANDB = CN()
    # Log to Weights & Biases too (needs the package wandb)
    cfg.WANDB.ENABLED = False
    cfg.WANDB.PROJECT = "san"
    # Name of the run; None: Weights & Biases chooses one
    cfg.WANDB.NAME = None


def _add_input_keys(node):
    # CLIP was trained on RGB
    node.FORMAT = "RGB"
    # Mapper of the training data: "mask_former_semantic", or "clip_captions" for META_ARCHITECTURE
    # "CLIP"
    node.DATASET_MAPPER_NAME = "mask_former_semantic"
    # Random brightness, contrast, saturation and hue, as in SSD
    node.COLOR_AUG_SSD = False
    # A crop is drawn again (10 times at most) while one class covers more than this share of it
    node.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0
    # Training crops are padded to this size in pixels, both sides; -1: not padded
    node.SIZE_DIVISIBILITY = -1


def _add_solver_keys(node):
    # Weight decay of parameters whose name contains one of WEIGHT_DECAY_EMBED_GROUP
    node.WEIGHT_DECAY_EMBED = 0.0
    node.WEIGHT_DECAY_EMBED_GROUP = [
        "absolute_pos_embed",
        "positional_embedding",
        "pos_embed",
        "query_embed",
        "relative_position_bias_table",
    ]
    # "ADAMW" or "SGD"
    node.OPTIMIZER = "ADAMW"
    # Learning-rate factor of the side adapter and the mask decoder
    node.BACKBONE_MULTIPLIER = 1.0
    # Learning-rate factor of what is trained inside CLIP
    node.CLIP_MULTIPLIER = 1.0
    # Images per process in evaluation
    node.TEST_IMS_PER_BATCH = 1


def _add_evaluation_keys(node):
    """What is measured on DATASETS.TEST beside the metrics of Detectron2; docs/evaluation.md."""
    # Resamplings of the images that the 95 % confidence interval of mIoU is made of; 0: none
    node.BOOTSTRAP_REPLICATES = 1000
    # Boundary IoU (arXiv 2103.16562) of every class, and its mean
    node.BOUNDARY_IOU = False
    # Evaluate a second time with only the words that the image's ground truth shows
    node.ORACLE_VOCABULARY = False
    # List of classes seen in training, "coco_stuff"; "": the data sets' own, where they have one
    node.SEEN_CLASSES = ""
    # Write the label maps below OUTPUT_DIR, to be evaluated later without the model
    node.SAVE_PREDICTIONS = False


def _add_clip_training_keys(cfg):
    """Keys of CLIP's own training; which CLIP it is, MODEL.SAN.CLIP_* say, as for SAN."""
    cfg.MODEL.CLIP = CN()
    # Pairs whose activations are held at once in training; 0: the whole batch. The gradients are
    # the same; less memory costs a second forward pass
    cfg.MODEL.CLIP.CHUNK_SIZE = 0
    # Smallest and largest share of the image's area in a training crop for CLIP
    cfg.INPUT.CLIP_CROP_AREA = [0.9, 1.0]
    # Sides in pixels, multiples of the patch, of which each training batch of CLIP draws a height
    # and a width; empty: CLIP's own size
    cfg.INPUT.CLIP_SIZES_TRAIN = []
    # Smallest and largest side, as shares of CLIP's grid of positions, of the square in it where a
    # training image of CLIP is put; empty: the whole grid
    cfg.INPUT.CLIP_POSITION_WINDOW = []
    # Sides of the images, as CLIP_SIZES_TRAIN has them, where four of them make a mosaic: every
    # other batch, each image being read as SAN reads a mask, in CLIP's blocks after
    # MODEL.SAN.FEATURE_LAST_LAYER_IDX; empty: no mosaics
    cfg.INPUT.CLIP_MOSAIC_SIZES_TRAIN = []
    # AdamW's decay rates of the moments, and what is added to the root of the second one
    cfg.SOLVER.BETAS = [0.9, 0.999]
    cfg.SOLVER.EPS = 1e-8


def _add_dense_clip_keys(cfg):
    """Keys of DenseCLIP, MaskCLIP and SCLIP; which CLIP it is, MODEL.SAN.CLIP_* say, as for SAN."""
    # How many images of DATASETS.TRAIN are trained on, spread evenly over them; 0: all
    cfg.DATASETS.NUM_TRAIN_IMAGES = 0
    cfg.MODEL.DENSE_CLIP = node = CN()
    # Side and step of the sliding window, in pixels; WINDOW 0: the whole image at once
    node.WINDOW = 224
    node.STRIDE = 112
    # Windows of an image that are computed together
    node.WINDOWS_PER_BATCH = 8
    # Factor of the cosines before the softmax; 0: CLIP's own
    node.LOGIT_SCALE = 40.0
    # A pixel whose best score is below this goes to class 0, the background; 0: none does
    node.SCORE_THRESHOLD = 0.0
    # So does a class with at most this share of the foreground's pixels; 0: none does
    node.AREA_THRESHOLD = 0.0
    # Steps of PAMR, pixel-adaptive mask refinement, and distances of its neighbours in pixels
    node.PAMR_STEPS = 0
    node.PAMR_DILATIONS = [8, 16]
    cfg.MODEL.MASKCLIP = node = CN()
    # A word whose share is below this everywhere in an image is left out of it; 0: none is
    node.PROMPT_DENOISING = 0.0
    # Patches whose best share is below this take the shares of patches with like keys; 0: none do
    node.KEY_SMOOTHING = 0.0
    cfg.MODEL.SCLIP = node = CN()
    # Attention of the last block: "csa" (of queries and of keys), "csa_q", "csa_k"; of projected
    # tokens: "identity_projection", "random_projection", "learned_projection"; CLIP's: "plain",
    # "local"
    node.ATTENTION = "csa"
    # Factor of sqrt(d) in the softmax; below 1 sharpens the attention
    node.TEMPERATURE = 1.0
    # Block, from 1, whose queries and keys are taken; 0: the last
    node.QK_BLOCK = 0
    # Patches along each side of the neighbourhood of "local"
    node.LOCAL_WINDOW = 3
    # Number of random or learned projections, over which attention is averaged, and their seed
    node.NUM_PROJECTIONS = 1
    node.PROJECTION_SEED = 0


def _san_keys():
    node = CN()
    # Weight of the no-object class in the cross entropy
    node.NO_OBJECT_WEIGHT = 0.1
    # Weights of the three losses, in the matching too
    node.CLASS_WEIGHT = 2.0
    node.DICE_WEIGHT = 5.0
    node.MASK_WEIGHT = 5.0
    # Points per mask at which masks are matched and compared
    node.TRAIN_NUM_POINTS = 112 * 112
    # Classes of the training vocabulary
    node.NUM_CLASSES = 171
    # Points drawn per point kept; the most uncertain ones are kept
    node.OVERSAMPLE_RATIO = 3.0
    # Share of the points that is kept for uncertainty; the rest is uniform
    node.IMPORTANCE_SAMPLE_RATIO = 0.75
    # Leave ignored pixels and padding out of the mask losses, and proposals that lie mostly on them
    # out of the class loss; the published training counts them as negatives of every mask
    node.EXCLUDE_IGNORED = False
    # open_clip's name of the CLIP model, or one of san/model_configs
    node.CLIP_MODEL_NAME = "ViT-B/16"
    # open_clip's tag of pretrained weights, a file, or "san://clip_tiny"; "": none (MODEL.WEIGHTS
    # has them all)
    node.CLIP_PRETRAINED_NAME = "openai"
    # Activation of CLIP: "quick_gelu", "gelu", or "auto": that of the pretrained weights
    node.CLIP_ACTIVATION = "auto"
    # Prompt templates of the text classifier, by name (san/modeling/text/templates.py)
    node.CLIP_TEMPLATE_SET = "vild"
    # Number of shallow CLIP blocks; the deeper ones recognize the masks
    node.FEATURE_LAST_LAYER_IDX = 9
    # Parts of parameter names that are trained in the shallow blocks ("all": everything)
    node.CLIP_FROZEN_EXCLUDE = ["positional_embedding"]
    # Parts of parameter names that are trained in the deeper blocks ("all": everything)
    node.CLIP_DEEPER_FROZEN_EXCLUDE = []
    # How CLIP tells what a mask shows: "attn_bias", [SLS] tokens in its deeper blocks under biases,
    # or "mask_pooling", the average of its output over the mask
    node.RECOGNITION = "attn_bias"
    # [SLS] tokens attend to image tokens alone: always so here, in the numbers of either setting
    node.REC_CROSS_ATTN = False
    # Attention bias from the side adapter's grid to CLIP's: "max", "avg", "bilinear", "bicubic" or
    # "nearest"
    node.REC_DOWNSAMPLE_METHOD = "max"
    # What an [SLS] token starts from: "cls_token" (CLIP's [CLS]), "learnable_token", or
    # "pos_embedding" (both added)
    node.SOS_TOKEN_FORMAT = "cls_token"
    # Images are padded to a multiple of this, in pixels
    node.SIZE_DIVISIBILITY = 32
    # CLIP sees the image at its own, lower resolution
    node.ASYMETRIC_INPUT = True
    # Scale factor of CLIP's image with ASYMETRIC_INPUT
    node.CLIP_RESOLUTION = 0.5
    # Resize masks to the output size before they are combined with the classes, or scores after
    node.SEM_SEG_POSTPROCESS_BEFORE_INFERENCE = True
    # Compute every block again in the backward pass: less memory, more time (docs/performance.md)
    node.GRADIENT_CHECKPOINTING = False
    return node


def _side_adapter_keys():
    node = CN()
    # The only side adapter
    node.NAME = "RegionwiseSideAdapterNetwork"
    # vit_w<width>n<heads>d<depth>_patch<size>
    node.VIT_NAME = "vit_w240n6d8_patch16"
    # No pretrained weights exist: False
    node.PRETRAINED = False
    # Image size in pixels of the native position embedding
    node.IMAGE_SIZE = 640
    # Stochastic depth of the last block; grows linearly from 0
    node.DROP_PATH_RATE = 0.0
    # Number of mask proposals
    node.NUM_QUERIES = 100
    # The only way of fusing CLIP features: "add"
    node.FUSION_TYPE = "add"
    # "i->j": CLIP features after block i are added after side-adapter block j
    node.FUSION_MAP = ["0->0", "3->1", "6->2", "9->3"]
    # Blocks whose output is decoded and supervised; the last one is the prediction
    node.DEEP_SUPERVISION_IDXS = [7, 8]
    node.ATTN_BIAS = CN()
    # Attention biases per query: one for each head of CLIP, or 1 for all
    node.ATTN_BIAS.NUM_HEADS = 12
    # Attention biases per query: one for each deep block of CLIP, or 1 for all
    node.ATTN_BIAS.NUM_LAYERS = 1
    # Channels of the embeddings whose products are masks and biases
    node.ATTN_BIAS.EMBED_CHANNELS = 256
    # Hidden channels and number of layers of the decoder's MLPs
    node.ATTN_BIAS.MLP_CHANNELS = 256
    node.ATTN_BIAS.MLP_NUM_LAYERS = 3
    # Learn a scale and an offset, one each for all biases
    node.ATTN_BIAS.RESCALE_ATTN_BIAS = True
    return node


def find_config(name):
    """Path of the config file ``name``: as given, or below ``configs/``.

    Raises:
        UserError: no such file.
    """
    below = str(name).removeprefix("configs/")
    candidates = [Path(name), *(folder / below for folder in _CONFIG_FOLDERS)]
    for path in candidates:
        if path.is_file():
            return str(path)
    raise UserError(f"config file {name!r} not found; tried {', '.join(map(str, candidates))}")


def load_config(config_file="", opts=()):
    """The config of a file and of ``KEY VALUE`` pairs, over the defaults; not frozen.

    Args:
        config_file (str): a YAML file, or its name below ``configs/``; "": the defaults alone.
        opts (sequence[str]): KEY VALUE KEY VALUE ..., as on the command line.

    Raises:
        UserError: a file that is missing or does not parse, a key that does not exist, a value of
            the wrong type, YAML that would run Python.
    """
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_san_config(cfg)
    if config_file:
        _merge(cfg.merge_from_file, find_config(config_file), f"config file {config_file}")
    if len(opts) % 2:
        raise UserError(f"options come as KEY VALUE pairs, but the last has no value: {opts[-1]!r}")
    _merge(cfg.merge_from_list, list(opts), "command line")
    return cfg


def _merge(merge, source, origin):
    """Call ``merge(source)`` and turn what yacs and PyYAML raise into a UserError."""
    try:
        if isinstance(source, str):
            merge(source, allow_unsafe=False)
        else:
            merge(source)
    except yaml.constructor.ConstructorError as error:
        mark = error.problem_mark
        raise UserError(
            f"{origin}: line {mark.line + 1} would run Python, which config files may not "
            f"({error.problem}); write the value out instead. The published "
            "INPUT.MIN_SIZE_TRAIN is [320, 384, 448, 512, 576, 640, 704, 768, 832, 896, 960]"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: not valid YAML: {error}") from error
    except KeyError as error:
        raise UserError(
            f"{origin}: {error.args[0]}; every key is listed in san/config.py"
        ) from error
    except (AssertionError, ValueError) as error:
        raise UserError(f"{origin}: {error}") from error
