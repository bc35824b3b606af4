"""What an evaluation of segmentation measures."""

from dataclasses import dataclass

from san.errors import UserError


@dataclass(frozen=True)
class SemSegOptions:
    """What to measure beside the metrics of Detectron2's evaluator.

    Attributes:
        bootstrap_replicates (int): of which the confidence interval of mIoU is made; 0: none.
        boundary_iou (bool): Boundary IoU as well.
        oracle_vocabulary (bool): outputs have ``oracle_label_map`` too, to be evaluated as well.
        seen_classes (str): name of a list of seen classes, see `seen_groups`.
        save_predictions (bool): write the label maps below the output folder.
    """

    bootstrap_replicates: int = 0
    boundary_iou: bool = False
    oracle_vocabulary: bool = False
    seen_classes: str = ""
    save_predictions: bool = False

    @classmethod
    def from_config(cls, cfg):
        """As the keys of TEST say."""
        if cfg.TEST.BOOTSTRAP_REPLICATES < 0:
            raise UserError(
                f"TEST.BOOTSTRAP_REPLICATES is {cfg.TEST.BOOTSTRAP_REPLICATES}; give 0 for no "
                "confidence interval, or a number such as 1000"
            )
        return cls(
            bootstrap_replicates=cfg.TEST.BOOTSTRAP_REPLICATES,
            boundary_iou=cfg.TEST.BOUNDARY_IOU,
            oracle_vocabulary=cfg.TEST.ORACLE_VOCABULARY,
            seen_classes=cfg.TEST.SEEN_CLASSES,
            save_predictions=cfg.TEST.SAVE_PREDICTIONS,
        )
