"""The public data sets that rbench knows, by name."""

from rbench.errors import DataError
from rbench.names import unknown
from rbench.tasks.files import File, FileSet

MNIST = FileSet(
    name="mnist",
    address="https://storage.googleapis.com/cvdf-datasets/mnist/",
    files=(
        File(
            name="train-images-idx3-ubyte",
            archive_sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            content_sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        File(
            name="train-labels-idx1-ubyte",
            archive_sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            content_sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        File(
            name="t10k-images-idx3-ubyte",
            archive_sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            content_sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        File(
            name="t10k-labels-idx1-ubyte",
            archive_sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            content_sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)
"""Handwritten digits (LeCun, Bottou, Bengio and Haffner 1998): training images and labels, test images and labels."""

FASHION_MNIST = FileSet(
    name="fashion-mnist",
    address="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    files=(
        File(
            name="train-images-idx3-ubyte",
            archive_sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            content_sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        File(
            name="train-labels-idx1-ubyte",
            archive_sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            content_sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        File(
            name="t10k-images-idx3-ubyte",
            archive_sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            content_sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        File(
            name="t10k-labels-idx1-ubyte",
            archive_sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            content_sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    own_folder=True,
)
"""Articles of clothing (Xiao, Rasul and Vollgraf 2017), in files that are called as MNIST's are."""

# Checksums of the unpacked files; Krizhevsky publishes that of the archive only.
_CIFAR10_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
CIFAR10 = FileSet(
    name="cifar10",
    address="https://www.cs.toronto.edu/~kriz/",
    files=tuple(
        File(
            name=name,
            archive_sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            content_sha256=content_sha256,
        )
        for name, content_sha256 in _CIFAR10_SHA256.items()
    ),
    archive="cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
)
"""Small photographs (Krizhevsky 2009), the binary version: five files of training data, one of test data."""

DATASETS: dict[str, FileSet] = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, CIFAR10)}


def find(name: str) -> FileSet:
    """The data set called `name`.

    Raises:
        DataError: there is none.
    """
    if name not in DATASETS:
        raise DataError(unknown("data set", name, DATASETS))
    return DATASETS[name]
