"""Encoders and decoders: the paper's parameter counts, shapes at every size, and the layers against torch's own."""

import pytest
import torch
from latentbench_networks.conv import ConvDecoder, ConvEncoder, ConvOptions
from latentbench_networks.layers import ACTIVATIONS, NormedConv, ShiftedDown, down_cell
from torch.nn.utils.parametrizations import weight_norm

from latentbench.models.model import build_model
from latentbench.suites.resolve import InapplicableError, assemble

PUBLISHED = [
    ("poisson", "van_hateren", "linear", "linear", 512, 262_656),
    ("categorical", "van_hateren", "linear", "linear", 512, 262_144),
    ("gaussian", "van_hateren", "linear", "linear", 512, 393_216),
    ("laplace", "cifar16", "linear", "linear", 512, 393_216),
    ("poisson", "cifar16", "conv", "linear", 512, 1_405_596),
    ("categorical", "cifar16", "conv", "linear", 512, 1_405_084),
    ("gaussian", "van_hateren", "conv", "linear", 512, 1_471_132),
    ("poisson", "mnist", "linear", "linear", 512, 803_328),
    ("categorical", "mnist", "linear", "linear", 512, 802_816),
    ("laplace", "mnist", "linear", "linear", 512, 1_204_224),
    ("poisson", "mnist", "conv", "linear", 512, 5_432_636),
    ("categorical", "mnist", "conv", "linear", 512, 5_432_124),
    ("gaussian", "mnist", "conv", "linear", 512, 5_563_708),
    ("poisson", "mnist", "conv", "conv", 10, 6_150_682),
    ("categorical", "mnist", "conv", "conv", 10, 6_150_672),
    ("poisson", "van_hateren", "conv", "conv", 10, 2_450_434),
    ("gaussian", "van_hateren", "conv", "conv", 10, 2_451_714),
]


@pytest.mark.parametrize(("family", "dataset", "encoder", "decoder", "latent_dim", "count"), PUBLISHED)
def test_parameters_are_as_many_as_the_authors_models_have(make_run, registry, family, dataset, encoder, decoder, latent_dim, count):
    """Exact to the unit: it proves widths and biases."""
    run = make_run(family=family, dataset=dataset, encoder=encoder, decoder=decoder, latent_dim=latent_dim).run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == count


@pytest.mark.parametrize("size", [(5, 5), (8, 8), (16, 16), (20, 17), (27, 27), (28, 28), (32, 32), (24, 48), (64, 64)])
def test_convolutions_fit_every_size(size):
    encoder = ConvEncoder((1, *size), 7, ConvOptions(), False)
    decoder = ConvDecoder(6, (1, *size))
    assert encoder(torch.randn(2, 1, *size)).shape == (2, 7)
    assert decoder(torch.randn(2, 6)).shape == (2, 1, *size)


@pytest.mark.parametrize(("channels", "maps"), [(1, 2), (2, 2), (3, 3), (3, 6)])
def test_convolutions_have_the_channels_of_the_images_and_of_the_likelihood(channels, maps):
    images = torch.randn(2, channels, 8, 8, requires_grad=True)
    features = ConvEncoder((channels, 8, 8), 5, ConvOptions(), False).eval()(images)
    assert features.shape == (2, 5)
    features.sum().backward()
    assert bool((images.grad.abs().amax((0, 2, 3)) > 0).all())  # each channel is seen
    assert ConvDecoder(5, (maps, 8, 8))(torch.randn(2, 5)).shape == (2, maps, 8, 8)


@pytest.mark.parametrize("network", ["linear", "mlp", "conv"])
@pytest.mark.parametrize(
    ("dataset", "options", "shape"), [("digits", {"flat": True}, (64,)), ("photo_patches", {"colour": True}, (3, 16, 16)), ("digits", {}, (1, 8, 8))]
)
def test_networks_take_items_of_any_shape_but_conv_vectors(network, dataset, options, shape, make_run, registry):
    settings = {f"dataset_options__{key}": value for key, value in options.items()}
    settings |= {"dataset": dataset, "encoder": network, "decoder": network, "family": "gaussian", "decoder_options__expand": 1}
    if network == "conv" and len(shape) == 1:
        with pytest.raises(InapplicableError, match=r"'conv' does not apply: it is for images, and items of 'digits' have the shape \[64\]"):
            make_run(**settings)
        return
    model = build_model(assemble(make_run(**settings, encoder_options__expand=1).run, registry), 1, "cpu", torch.float32)
    features = model.encoder(torch.rand(2, *shape))
    assert features.shape == (2, 12)
    assert model.decoder(torch.randn(2, 6)).shape == (2, *shape)


def test_maps_have_the_paper_s_sizes():
    """16x16: 8 at 64 channels, 4 at 128. 28x28: 26, then 13 at 64, 7 at 128, 4 at 256."""
    shapes = {}
    for side in (16, 28):
        x, shapes[side] = torch.randn(1, 1, side, side), []
        for module in list(ConvEncoder((1, side, side), 4, ConvOptions(), True))[:-3]:
            x = module(x)
            shapes[side].append((x.shape[1], x.shape[2]))
    assert shapes[16] == [(32, 16), (32, 16), (64, 8), (64, 8), (128, 4), (128, 4)]
    assert shapes[28] == [(32, 26), (32, 26), (64, 13), (64, 13), (128, 7), (128, 7), (256, 4), (256, 4)]


def test_the_decoder_for_mnist_resizes_16_to_14_before_the_last_doubling(monkeypatch):
    decoder, seen = ConvDecoder(3, (1, 28, 28)), []
    decoder.cells[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    decoder(torch.randn(1, 3))
    assert seen == [(1, 32, 14, 14)]


def test_a_normed_convolution_is_torch_s_weight_norm():
    """torch's is g v / |v| with g over output channels; ours has ln g."""
    ours = NormedConv(3, 5, 3, padding=1).double()
    with torch.no_grad():
        ours.log_norm.normal_()
    theirs = torch.nn.Conv2d(3, 5, 3, padding=1).double()
    theirs.load_state_dict({"weight": ours.weight, "bias": ours.bias})
    theirs = weight_norm(theirs)
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(ours.log_norm.exp().view(-1, 1, 1, 1))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)  # |v| has float32's epsilon added


def test_filters_have_unit_norm_at_first():
    conv = NormedConv(4, 6, 3)
    x = torch.zeros(1, 4, 3, 3)
    x[0, 1, 2, 0] = 1.0
    expected = conv.weight[:, 1, 2, 0] / conv.weight.flatten(1).norm(dim=1) + conv.bias
    assert torch.allclose(conv(x).flatten(), expected, atol=1e-6)


def test_a_shifted_skip_sees_every_pixel():
    """The four strided convolutions together read each pixel once; a single one reads a quarter of them."""
    for shifted, share in ((True, 1.0), (False, 0.25)):
        x = torch.randn(1, 8, 6, 6, requires_grad=True)
        down_cell(8, 16, shifted).skip(x).sum().backward()
        assert float((x.grad.abs().sum(1) > 0).float().mean()) == share


def test_a_shifted_skip_orders_its_shifts_as_the_authors_do():
    """By (0, 0), (0, 1), (1, 0), (1, 1)."""
    skip = ShiftedDown(1, 4)
    for conv in skip.convs:
        torch.nn.init.ones_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert torch.allclose(skip(x).flatten(), torch.nn.functional.silu(torch.tensor([1.0, 2.0, 3.0, 4.0])), atol=1e-5)


@pytest.mark.parametrize("side", [16, 28])
def test_an_activation_replaces_all_swishes_of_convolutional_layers(side):
    """And no other activation: those of gates and of the dense layer stay."""

    def counts(activation):
        encoder = ConvEncoder((1, side, side), 4, ConvOptions(activation=activation), True)
        kinds = [type(module) for module in (*encoder.modules(), *ConvDecoder(3, (1, side, side), activation).modules())]
        return {kind: kinds.count(kind) for kind in (torch.nn.SiLU, torch.nn.LeakyReLU, torch.nn.ReLU)}

    swish, leaky = counts("swish"), counts("leaky_relu")
    assert swish[torch.nn.SiLU] > 10
    assert swish[torch.nn.LeakyReLU] == leaky[torch.nn.SiLU] == 0
    assert leaky == {torch.nn.SiLU: 0, torch.nn.LeakyReLU: swish[torch.nn.SiLU], torch.nn.ReLU: swish[torch.nn.ReLU]}


def test_activations_are_those_of_their_formulas():
    x = torch.linspace(-3, 3, 13)
    assert torch.allclose(ACTIVATIONS["swish"]()(x), x / (1 + torch.exp(-x)))
    assert torch.allclose(ACTIVATIONS["leaky_relu"]()(x), torch.maximum(x, x / 100))


def test_the_option_of_an_activation_leaves_ids_and_initial_weights_as_they_were(make_run, registry):
    settings = {"dataset": "photo_patches", "encoder": "conv", "decoder": "conv", "family": "gaussian"}
    plain = make_run(**settings).run
    assert make_run(**settings, encoder_options__activation="swish", decoder_options__activation="swish").run.id == plain.id
    leaky = make_run(**settings, encoder_options__activation="leaky_relu").run
    assert leaky.id != plain.id
    one, other = (build_model(assemble(run, registry), run.seed, "cpu", torch.float32).state_dict() for run in (plain, leaky))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_initial_weights_are_wider_beside_a_decoder_that_is_not_linear(make_run, registry):
    stds = {}
    for decoder in ("linear", "conv"):
        run = make_run(dataset="photo_patches", encoder="conv", decoder=decoder, latent_dim=64).run
        model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
        stds[decoder] = float(model.encoder[-1].weight.detach().std())
        assert float(model.encoder[-1].bias.detach().abs().max()) == 0
    assert stds["linear"] == pytest.approx(0.05, rel=0.05)
    assert stds["conv"] == pytest.approx(0.1, rel=0.05)


def test_a_perceptron_expands_as_the_authors_do(make_run, registry):
    run = make_run(encoder="mlp", decoder="mlp", latent_dim=5).run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
    dense = 64 * 16 * 64 * 2 + 64 * 16 + 64 + 128
    assert sum(p.numel() for p in model.encoder.parameters()) == dense + 64 * 5 + 5
    decoder = (5 * 64 + 64) + (64 * 8 * 64 * 2 + 64 * 8 + 64 + 128) + (64 * 64 + 64)
    assert sum(p.numel() for p in model.decoder.parameters()) == decoder
