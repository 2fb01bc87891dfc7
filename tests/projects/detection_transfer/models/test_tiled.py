"""Large images are used in tiles, and small ones whole."""

from itertools import pairwise

import pytest
import torch
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from ccrop.projects.detection_transfer.models import TiledDetector, TopDownNeck
from ccrop.projects.detection_transfer.models.dense_head import Candidates, DenseHead
from ccrop.projects.detection_transfer.models.tiled import spans, touches

TEST = dict(nms_pre=50, score_thr=0.05, iou_threshold=0.5, max_per_img=10, tile=32, overlap=8)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 56, 57, 100, 333])
def test_tiles_cover_a_length_and_overlap(length: int):
    found = list(spans(length, 32, 8))
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(end - begin == min(32, length) for begin, end in found)
    assert all(before[1] - after[0] >= 8 for before, after in pairwise(found))
    fewest = 1 if length <= 32 else 1 + -(-(length - 32) // 24)
    assert len(found) == fewest


def test_a_box_at_an_inner_edge_is_cut_unless_it_is_long():
    boxes = torch.tensor([[30.0, 40, 38, 48], [24, 40, 30, 46], [24, 40, 44, 60], [25, 0, 31, 5], [58, 40, 64, 46]])
    cut = touches(boxes, tile=(24, 0, 56, 56), image_size=(80, 56), overlap=8)
    assert cut.tolist() == [False, True, False, False, True]


class Bright(nn.Module):
    """Stands for a head: each white block of 4 x 4 px is an object."""

    def candidates(self, maps: tuple[Tensor]) -> Candidates:
        image = maps[0][0, 0]
        rows, columns = torch.nn.functional.avg_pool2d(image[None], 4, 1)[0].eq(1).nonzero(as_tuple=True)
        boxes = torch.stack([columns, rows, columns + 4, rows + 4], dim=1).float()
        boxes = torch.cat([boxes, torch.zeros(10 - len(boxes), 4)])[None]
        return Candidates(boxes, (boxes[..., 2] > 0).float(), torch.zeros(1, 10, dtype=torch.long))


def detector(head: nn.Module) -> TiledDetector:
    backbone = dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, init_cfg=None)
    network = TiledDetector(
        backbone=backbone, bbox_head=dict(type="DenseHead", num_classes=1, in_channels=8), test_cfg=TEST
    )
    network.bbox_head.candidates = head.candidates
    network.extract_feat = lambda images: (images,)
    return network


def test_objects_of_a_large_image_are_found_once_and_in_their_places():
    objects = [[2, 3], [26, 10], [30, 50], [60, 40], [70, 58]]  # some where tiles overlap
    image = torch.zeros(1, 1, 64, 80)
    for left, top in objects:
        image[0, 0, top : top + 4, left : left + 4] = 1
    sample = DetDataSample(metainfo=dict(img_shape=(64, 80), ori_shape=(64, 80), scale_factor=(1.0, 1.0)))
    (found,) = detector(Bright()).predict(image, [sample])
    assert sorted(found.pred_instances.bboxes.tolist()) == sorted([x, y, x + 4, y + 4] for x, y in objects)


@pytest.mark.parametrize(("tile", "overlap"), [(32, 32), (32, 100), (0, 0), (32, -1)])
def test_tiles_that_do_not_advance_are_refused_before_training(tile: int, overlap: int):
    with pytest.raises(ValueError, match=rf"test_cfg.tile, got {overlap} and {tile}"):
        TiledDetector(
            backbone=dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, init_cfg=None),
            bbox_head=dict(type="DenseHead", num_classes=1, in_channels=8),
            test_cfg=TEST | dict(tile=tile, overlap=overlap),
        )


def test_neck_merges_levels_from_the_coarsest_to_the_finest():
    torch.manual_seed(0)
    neck = TopDownNeck([4, 6, 8], 5).eval()
    maps = [torch.randn(2, channels, side, side) for channels, side in ((4, 8), (6, 4), (8, 2))]
    (merged,) = neck(maps)
    fine, middle, coarse = (conv(level) for conv, level in zip(neck.laterals, maps, strict=True))
    middle = middle + coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    fine = fine + middle.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(merged, neck.output(fine.relu()))
    (single,) = TopDownNeck([4], 5).eval()(maps[:1])
    assert single.shape == (2, 5, 8, 8)


def test_channels_last_and_dense_head_of_the_whole_detector():
    torch.manual_seed(0)
    network = TiledDetector(
        backbone=dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, out_indices=(0, 1), init_cfg=None),
        neck=dict(type="TopDownNeck", in_channels=[8, 16], out_channels=8),
        bbox_head=dict(type="DenseHead", num_classes=2, in_channels=8, feat_channels=8),
        test_cfg=TEST,
    ).eval()
    assert isinstance(network.bbox_head, DenseHead)
    assert network.backbone.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        whole = network.bbox_head.candidates(network.extract_feat(torch.randn(1, 3, 32, 32)))
    assert whole.boxes.shape == (1, 50, 4)
