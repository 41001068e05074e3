"""Every field of a run, with the paper's values.  Other configs change only what differs.

A run that was saved before there was a field gets its default: one that comes later must be what
runs did without it.

Set any field on the command line: ``--config.optimizer.learning_rate=1e-4``.
"""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> Any:
    """The paper's method at the paper's size; ``data`` must be filled in."""
    config: Any = ConfigDict()
    # The paper's; "cyclegan", "recyclegan", "cycada", "blind_temporal", "segmentation".
    config.method = "recurrent"
    config.seed = 0

    config.data = ConfigDict()
    # "videos": two globs of video files or frame folders; "records": what v2v_jax.data.prepare
    # wrote (VIPER, Cityscapes, ...); "synthetic": the built-in world.
    config.data.kind = "videos"
    config.data.source = ""  # videos: a glob; records: a folder[@split]; synthetic: "game"
    config.data.target = ""  # videos: a glob; records: a folder[@split]; synthetic: "street"
    config.data.fps = 25.0  # of frame folders, which do not say (KITTI: 10), when translated
    # videos: frames further apart than so many median distances share no clip; 0: all may.
    config.data.gap = 4.0
    config.data.deinterlace = False  # videos: one clean picture of the two fields of a frame
    config.data.size = (256, 512)  # height, width; both divisible by 4
    config.data.load_size = ()  # height, width to crop data.size from, at random; (): no crop
    config.data.batch_size = 1  # clips of each domain, over all devices and processes
    config.data.frames = 3  # K, consecutive frames trained on (section 3.5)
    config.data.stride = 1  # frames from one to the next
    config.data.temporal_flip = 0.5  # probability (section 3.7)
    config.data.cache = ""  # decoded frames; empty: <workdir>/cache
    config.data.clips = 64  # synthetic: clips per domain
    config.data.length = 90  # synthetic: frames per clip
    config.data.labels = False  # hand labels on, where a domain has them (cycada, segmentation)
    config.data.threads = 2  # readers of the input pipeline
    config.data.workers = 0  # processes that read; 0: the threads of this one

    config.image = ConfigDict()  # the image generator I (appendix A.1)
    # "local_matrix" and "local_affine" change colours place by place, the first mixes them too, and
    # keep the source's edges (docs/meaning.md).
    config.image.kind = "resnet"
    config.image.features = 64
    config.image.blocks = 6
    # CycleGAN's "transpose"; "resize", bilinear and a convolution, cannot draw a grid of 2 pixels.
    config.image.upsample = "transpose"
    config.image.up_init = "normal"  # or "even": a transposed convolution starts without a grid

    config.fusion = ConfigDict()  # the fusion block F (appendix A.1)
    # "learned"; without parameters: "average" (half of each) or "rule" (the carried pixel wherever
    # the source bears the flow out, for which it needs config.gate).
    config.fusion.kind = "learned"
    config.fusion.features = 32
    config.fusion.kernel = 3
    config.fusion.signed = False  # True: raw - warped, as eq. 2 prints it
    config.fusion.bias_init = 0.0  # first masks are about sigmoid(bias_init)

    config.discriminator = ConfigDict()  # PatchGAN (section 3.7)
    config.discriminator.features = 64
    config.discriminator.layers = 3  # 3 judges 70x70 pixels
    config.discriminator.norm = "instance"  # "none" shows D absolute colours
    config.discriminator.motion = False  # judge frames together with their flow; needs history
    config.discriminator.labels = False  # judge frames together with their labels; of both domains

    config.content = ConfigDict()  # feature extractor of eq. 6
    config.content.net = "vgg16"  # or "vgg19"
    config.content.tap = "relu5_3"
    # A file of torchvision's weights (v2v_jax.weights.convert), or by name "vgg16", what `make
    # features` fetched, or "random".
    config.content.weights = ""
    config.content.features = 64  # narrower only with "random"
    # "random" alone: first filters without a mean, see nets/vgg.py.
    config.content.zero_mean = False
    config.content.normalise = True  # instance norm; False is upstream's for blind_temporal

    config.predictor = ConfigDict()  # recyclegan: the U-Net that foresees frames
    config.predictor.features = 64
    config.predictor.depth = 0  # halvings of the frame, 8 is unet_256; 0: as many as it allows

    config.stabiliser = ConfigDict()  # blind_temporal: TransformNet
    config.stabiliser.features = 32
    config.stabiliser.blocks = 5
    config.stabiliser.norm = "none"  # upstream's published network, by a slip; or "instance"
    config.stabiliser.use_bias = True  # where there is no norm
    config.stabiliser.run = ""  # the workdir of the translator it is trained over

    config.segmenter = ConfigDict()  # what "segmentation" trains and "cycada" is judged by
    config.segmenter.net = "small"
    config.segmenter.features = 24
    config.segmenter.domain = "source"  # segmentation: whose labels it learns
    config.segmenter.run = ""  # cycada: the workdir of a trained one

    config.cycada = ConfigDict()
    config.cycada.to_target = 1.0  # upstream counts that direction's adversarial loss twice
    config.cycada.gate = 0.0  # upstream's 1: no semantic loss while the segmenter's own is above

    config.flow = ConfigDict()
    # "dis" (OpenCV, on the host), "given" (the data's own), "zero"; in the graph, with weights:
    # "flownet2" (the paper's), "raft_small", "raft_large".
    config.flow.kind = "dis"
    # A published file (v2v_jax.weights.convert), or the literal "random".
    config.flow.weights = ""
    config.flow.missing = ""  # given: "dis" estimates the direction that the data lack
    config.flow.scale = 1.0  # dis, raft: estimate on frames enlarged by this
    config.flow.preset = "medium"  # dis: "ultrafast", "fast" or "medium"

    config.weights = ConfigDict()  # eq. 8; 0 removes the term from the program
    config.weights.adversarial = 1.0
    config.weights.cycle = 10.0
    config.weights.content = 1.0
    config.weights.temporal = 10.0
    config.weights.gradient_penalty = 0.0  # R1, on D at real frames
    config.weights.style = 0.0  # colours and detail as the other domain's, kind by kind
    config.weights.identity = 0.5  # cyclegan, recyclegan and cycada, times cycle
    config.weights.semantic = 0.0  # cycada
    config.weights.recycle = 0.0  # recyclegan; upstream's: 10
    config.weights.prediction = 0.0  # recyclegan; upstream's: 10
    config.weights.adversarial_prediction = 0.0  # recyclegan: of predictions from real frames
    config.weights.short_term = 0.0  # blind_temporal; upstream's: 100
    config.weights.long_term = 0.0  # blind_temporal; upstream's: 100

    config.pool = 0  # generated frames the discriminator is reminded of; CycleGAN's own: 50
    config.adversarial = "vanilla"  # eq. 3 from logits; "lsgan", "hinge"
    config.occlusion_alpha = 50.0  # eq. 7
    config.occlusion_squared = False  # True: Lai et al.'s squared norm
    config.losses_on_raw = False  # give every raw frame the losses of I
    config.cycle_memory = "source"  # eq. 5; "reconstruction" feeds its own output back
    config.truncate = False  # no gradient through the warped previous output
    config.history = 0  # frames rolled in without gradient before the K trained ones
    config.gate = False  # synthesise where the source contradicts the flow, whatever F says
    config.gate_squared = True  # in Lai et al.'s squared form; False: as eq. 7 prints it

    # D's real patches count as if every kind of motion were as frequent there as in what is
    # translated.
    config.balance = False
    config.evenness = 0.0  # with balance: 0 leaves rare kinds rare, 1 counts all kinds the same

    config.optimizer = ConfigDict()  # Adam, fixed rate (appendix A.1)
    config.optimizer.learning_rate = 2e-4
    config.optimizer.discriminator_rate = 0.0  # 0: the same
    config.optimizer.b1 = 0.5
    config.optimizer.b2 = 0.999
    config.optimizer.constant = 1.0  # share of the steps at that rate; then linearly to 0
    config.optimizer.decay_steps = 0  # the step at which it reaches 0; 0: config.steps
    config.ema_decay = 0.999

    # Before the first step the image generators learn to reproduce frames of both domains: L1,
    # Adam (b1 0.9), the rate falls to 0 along a cosine.  Not with --init_from.
    config.warm_up = ConfigDict()
    config.warm_up.steps = 0  # 0: none
    config.warm_up.batch = 6  # frames, half of each domain, over all devices and processes
    config.warm_up.learning_rate = 2e-3

    config.precision = "float32"  # of the networks' convolutions; "bfloat16"
    config.steps = 200_000
    config.log_every = 50
    config.picture_every = 1000
    config.checkpoint_every = 1000
    config.evaluate_every = 10_000  # 0: never while training
    config.keep = 3  # checkpoints
    config.nonfinite_limit = 20  # stop after so many non-finite steps in a row

    config.evaluate = ConfigDict()
    # videos: a held-out glob, empty: the training videos; records: a folder[@split], empty: the
    # training folder's test split.
    config.evaluate.source = ""
    config.evaluate.target = ""
    config.evaluate.clips = 4
    config.evaluate.frames = 64  # per clip; smearing hides in short ones
    config.evaluate.probes = True  # synthetic: train the segmenter and the domain classifier
    return config
