"""What is known of published change-detection sets, for `minebench ingest --from NAME`.

Only what their authors say: the source of each fact is the set's page (`url`) or paper (`citation`), unless
a comment names another. What is not said there, or differs within the set, is unknown.
"""

from dataclasses import dataclass

UNKNOWN = "unknown"


@dataclass(frozen=True)
class PublishedSet:
    """A set's title, citation and page; `meaning` is what counts as change. `dates` as
    `from_folders.spans_of` reads them; `resolution` in metres, None where it is unknown or differs."""

    title: str
    citation: str
    url: str
    meaning: str
    resolution: float | None = None
    dates: str = UNKNOWN
    licence: str = UNKNOWN


BUILDINGS = "Change of buildings between two images."
SETS = {
    "levir-cd": PublishedSet(
        "LEVIR-CD",
        "Chen, H., Shi, Z. (2020): A Spatial-Temporal Attention-Based Method and a New Dataset for Remote "
        "Sensing Image Change Detection. Remote Sensing 12(10), 1662.",
        "https://justchenhao.github.io/LEVIR/", BUILDINGS, 0.5, "2002..2013,2007..2018",
    ),
    "whu-cd": PublishedSet(
        "WHU building change detection",
        "Ji, S., Wei, S., Lu, M. (2019): Fully Convolutional Networks for Multisource Building Extraction "
        "From an Open Aerial and Satellite Imagery Data Set. IEEE Transactions on Geoscience and Remote "
        "Sensing 57(1), 574-586.",
        # Copies are of 0.2 m (20.5 km² are 32,507 x 15,354 pixels) and of 0.075 m.
        "http://gpcv.whu.edu.cn/data/building_dataset.html", BUILDINGS, None, "2012-04,2016",
    ),
    "dsifn": PublishedSet(
        "DSIFN-CD",
        "Zhang, C., Yue, P., Tapete, D., Jiang, L., Shangguan, B., Huang, L., Liu, G. (2020): A deeply "
        "supervised image fusion network for change detection in high resolution bi-temporal remote "
        "sensing images. ISPRS Journal of Photogrammetry and Remote Sensing 166, 183-200.",
        "https://github.com/GeoZcx/A-deeply-supervised-image-fusion-network-for-change-detection-in-remote-"
        "sensing-images", "Change of land cover between two images.",
    ),
    "cdd": PublishedSet(
        "CDD (season-varying)",
        "Lebedev, M. A., Vizilter, Y. V., Vygolov, O. V., Knyaz, V. A., Rubis, A. Y. (2018): Change "
        "Detection in Remote Sensing Images Using Conditional Adversarial Networks. ISPRS Archives XLII-2, "
        "565-571.",
        "https://doi.org/10.5194/isprs-archives-XLII-2-565-2018",
        "Change of objects between two images, but for that of the seasons.",  # pixels of 0.03 to 1 m
    ),
    "sysu-cd": PublishedSet(
        "SYSU-CD",
        "Shi, Q., Liu, M., Li, S., Liu, X., Wang, F., Zhang, L. (2022): A Deeply Supervised Attention "
        "Metric-Based Network and an Open Aerial Image Dataset for Remote Sensing Change Detection. IEEE "
        "Transactions on Geoscience and Remote Sensing 60, 5604816.",
        "https://github.com/liumency/SYSU-CD",
        "New buildings, suburban growth, groundwork, vegetation, roads and building in the sea.", 0.5,
        "2007..2014,2007..2014",
    ),
    "clcd": PublishedSet(
        "CLCD",
        "Liu, M., Chai, Z., Deng, H., Liu, R. (2022): A CNN-Transformer Network With Multiscale Context "
        "Aggregation for Fine-Grained Cropland Change Detection. IEEE Journal of Selected Topics in "
        "Applied Earth Observations and Remote Sensing 15, 4297-4306.",
        "https://github.com/liumency/CropLand-CD", "Change of cropland between two images.",  # 0.5 to 2 m
        None, "2017,2019",
    ),
    "egy-bcd": PublishedSet(
        "EGY-BCD",
        "Holail, S., Saleh, T., Xiao, X., Li, D. (2023): AFDE-Net: Building Change Detection Using "
        "Attention-Based Feature Differential Enhancement for Satellite Imagery. IEEE Geoscience and "
        "Remote Sensing Letters 20.",
        # The pixel is that of UCD's table of data sets (github.com/EricYu97/UCD).
        "https://github.com/oshholail/EGY-BCD", BUILDINGS, 0.25, "2017..2022,2017..2022",
    ),
    "gvlm": PublishedSet(
        "GVLM-CD",
        "Zhang, X., Yu, W., Pun, M.-O., Shi, W. (2023): Cross-domain landslide mapping from large-scale "
        "remote sensing images using prototype-guided domain-aware progressive representation learning. "
        "ISPRS Journal of Photogrammetry and Remote Sensing 197, 1-17.",
        "https://github.com/zxk688/GVLM", "Landslides that are new in the second image.", 0.59,
        licence="non-commercial use only",
    ),
    "oscd": PublishedSet(
        "OSCD",
        "Daudt, R. C., Le Saux, B., Boulch, A., Gousseau, Y. (2018): Urban Change Detection for "
        "Multispectral Earth Observation Using Convolutional Neural Networks. IGARSS 2018, 2115-2118.",
        "https://rcdaudt.github.io/oscd/", "Urban change, such as new buildings and roads.", 10,
        "2015..2018,2015..2018",
    ),
    "s2looking": PublishedSet(
        "S2Looking",
        "Shen, L., Lu, Y., Chen, H., Wei, H., Xie, D., Yue, J., Chen, R., Lv, S., Jiang, B. (2021): "
        "S2Looking: A Satellite Side-Looking Dataset for Building Change Detection. Remote Sensing 13(24), "
        "5094.",
        "https://github.com/S2Looking/Dataset", BUILDINGS,  # pixels of 0.5 to 0.8 m
    ),
    "smallminesds": PublishedSet(
        "SmallMinesDS",
        # Its page names no authors.
        "SmallMinesDS: a benchmark dataset for mapping artisanal small-scale gold mining from "
        "multi-sensor satellite "
        "images, https://huggingface.co/datasets/ellaampy/SmallMinesDS",
        "https://huggingface.co/datasets/ellaampy/SmallMinesDS",
        "Change of artisanal and small-scale gold mines between two images.", 10, "2016-01,2022-01",
        "CC-BY-SA-4.0",
    ),
}  # fmt: skip
"""By the name that `--from` takes."""
