"""The terms of the data that our data sets are prepared from, as their homes state them."""

from latentbench import hookimpl
from latentbench.reporting import Notice


class Digits(Notice):
    """The test part of the optical recognition of handwritten digits set."""

    name = "optdigits"
    datasets = ("digits", "digits_binary")
    by = "E. Alpaydin and C. Kaynak, UCI Machine Learning Repository"
    terms = "CC BY 4.0"
    home = "https://archive.ics.uci.edu/dataset/80"


class Photographs(Notice):
    """The two photographs in scikit-learn."""

    name = "sample_images"
    datasets = ("photo_patches", "photo_patches_binary")
    by = "china.jpg: danielbuechele; flower.jpg: vultilion, on Flickr"
    terms = "CC BY 2.0"
    home = "https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_sample_images.html"


class Mnist(Notice):
    """MNIST."""

    name = "mnist"
    datasets = ("mnist", "mnist_binary")
    by = "Y. LeCun and C. Cortes, from data of NIST"
    terms = "CC BY-SA 3.0"
    home = "http://yann.lecun.com/exdb/mnist/"


class FashionMnist(Notice):
    """Fashion-MNIST."""

    name = "fashion_mnist"
    datasets = ("fashion_mnist",)
    by = "Zalando SE"
    terms = "MIT"
    home = "https://github.com/zalandoresearch/fashion-mnist"


class Cifar(Notice):
    """CIFAR-10."""

    name = "cifar10"
    datasets = ("cifar16", "cifar16_centred")
    by = "A. Krizhevsky, V. Nair and G. Hinton"
    terms = "no licence is stated; its authors ask for a citation of Krizhevsky, Learning multiple layers of features from tiny images (2009)"
    home = "https://www.cs.toronto.edu/~kriz/cifar.html"


class Doves(Notice):
    """The van Hateren images of the DOVES set."""

    name = "doves"
    datasets = ("van_hateren", "van_hateren_centred")
    by = "J. H. van Hateren; cropped by I. van der Linde, U. Rajashekar, A. C. Bovik and L. K. Cormack"
    terms = "free for education and research, if the DOVES paper (Spatial Vision 22, 2009) and van Hateren's set are cited"
    home = "http://live.ece.utexas.edu/research/doves"


class Synthetic(Notice):
    """Data that are drawn by a program: bars, after Foldiak, and sparse causes."""

    name = "synthetic"
    datasets = ("bars", "sparse_synthetic")
    by = "latentbench; the bars are those of P. Foldiak, Biological Cybernetics 64 (1990)"
    terms = "MIT, as latentbench"
    home = "https://doi.org/10.1007/BF02331346"


@hookimpl
def register_notices() -> list[type[Notice]]:
    """The notices."""
    return [Digits, Photographs, Mnist, FashionMnist, Cifar, Doves, Synthetic]
