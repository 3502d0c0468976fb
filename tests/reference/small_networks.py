"""Small embedding networks with telling batch statistics, for tests."""

import torch

from anatomical_embedding.networks.embedding_network import PYRAMID_LEVELS, EmbeddingNetwork, Embeddings
from anatomical_embedding.settings.network import NetworkSettings


def small_published_settings(*, width: int = 4, has_semantic_head: bool = True) -> NetworkSettings:
    """Return the published kernels and strides with few channels."""
    return NetworkSettings(
        stem_channels=width,
        stem_kernel_zyx=(3, 7, 7),
        stem_stride_zyx=(1, 1, 1),
        stage_channels=(width, width, 2 * width, 2 * width),
        stage_kernels_zyx=((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)),
        stage_strides_zyx=((1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2)),
        pool_zyx=(2, 1, 1),
        embedding_channels=2 * width,
        coarse_channels=2 * width,
        has_semantic_head=has_semantic_head,
    )


def isotropic_settings(*, width: int = 4, has_semantic_head: bool = False) -> NetworkSettings:
    """Return a network with a fine stride of 2 and a coarse stride of 8 on all axes."""
    cubes = (3, 3, 3)
    return NetworkSettings(
        stem_channels=width,
        stem_kernel_zyx=(5, 5, 5),
        stem_stride_zyx=(2, 2, 2),
        stage_channels=(width, 2 * width, 2 * width, 2 * width),
        stage_kernels_zyx=(cubes, cubes, cubes, cubes),
        stage_strides_zyx=((1, 1, 1), (2, 2, 2), (2, 2, 2), (1, 1, 1)),
        pool_zyx=(1, 1, 1),
        embedding_channels=2 * width,
        coarse_channels=width,
        has_semantic_head=has_semantic_head,
    )


def short_sighted_settings(*, width: int = 4) -> NetworkSettings:
    """Return a network whose cells see few voxels, so that small volumes can be cut along all axes."""
    cubes, points = (3, 3, 3), (1, 1, 1)
    return NetworkSettings(
        stem_channels=width,
        stem_kernel_zyx=cubes,
        stem_stride_zyx=(1, 2, 1),
        stage_channels=(width, width, width, width),
        stage_kernels_zyx=(points, points, cubes, points),
        stage_strides_zyx=(points, points, (2, 2, 2), points),
        pool_zyx=(2, 1, 2),
        embedding_channels=width,
        coarse_channels=width,
        has_semantic_head=True,
    )


def maps_before_normalisation(network: EmbeddingNetwork, volume: torch.Tensor) -> Embeddings:
    """Return the maps of a volume as the last convolutions leave them, in the number format of the network."""
    levels = network.backbone(volume)
    finer, coarser = levels[:PYRAMID_LEVELS], levels[PYRAMID_LEVELS:]
    semantic = None if network.semantic_head is None else network.semantic_head(finer)
    return Embeddings(network.neck(finer), network.read_out_head(coarser), semantic)


def network_with_statistics(settings: NetworkSettings, *, seed: int = 0) -> EmbeddingNetwork:
    """Return a network in evaluation mode whose batch normalisation and biases are far from neutral."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = EmbeddingNetwork(settings)
    for name, tensor in network.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(1.0 + 0.5 * noise.abs())
        elif ".bn.weight" in name:
            tensor.copy_(1.0 + 0.2 * noise)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.2 * noise)
    return network.eval()


def random_volume(*shape_zyx: int, seed: int = 0) -> torch.Tensor:
    """Return a (Z, Y, X) float32 volume of noise in the range of network intensities."""
    return torch.rand(shape_zyx, generator=torch.Generator().manual_seed(seed)) * 255.0 - 50.0
