using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>Crops of all images of a sequence → their image tokens [T, hidden], image after image, in the order "sub_glb".</summary>
internal sealed class ImageEmbedding(Phi3VConfig config, ModelWeights weights, ComputeOptions options)
{
    private readonly ClipTower _tower = new(config.Vision, weights, options);
    private readonly ImageTokenOrder _tokenOrder = new(config.Vision);
    private readonly Tensor _rowEnd = weights[Phi3VWeights.Vision + "sub_GN"];
    private readonly Tensor _separator = weights[Phi3VWeights.Vision + "glb_GN"];
    private readonly Linear _projection0 = weights.Linear(Phi3VWeights.Vision + "img_projection.0", hasBias: true);
    private readonly Linear _projection2 = weights.Linear(Phi3VWeights.Vision + "img_projection.2", hasBias: true);

    public bool IsTrained => _tower.IsTrained || ProjectionIsTrained;

    private bool ProjectionIsTrained =>
        _rowEnd.requires_grad || _separator.requires_grad || _projection0.IsTrained || _projection2.IsTrained;

    /// <summary>Patch features of every crop, [N·577, width].</summary>
    public Tensor Features(LayerTape tape, IReadOnlyList<ImageCrops> images, DropoutRows? dropout = null) =>
        _tower.Forward(tape, images.Count == 1 ? images[0].Crops : cat([.. images.Select(image => image.Crops)], 0), dropout);

    public Tensor Tokens(LayerTape tape, Tensor features, IReadOnlyList<ImageCrops> images, DropoutRows? dropout = null) =>
        tape.Run(features, new(x => Project(x, images, dropout), ProjectionIsTrained) { Unit = Phi3VWeights.ProjectorUnit });

    private Tensor Project(Tensor features, IReadOnlyList<ImageCrops> images, DropoutRows? dropout)
    {
        // One gather lays out grids, row ends and separators of all images: every token is four rows of features, merged into channels.
        long width = config.Vision.HiddenSize;
        var rows = cat([features, _rowEnd.view(4, width), _separator.view(4, width)], 0);
        var order = tensor(_tokenOrder.FeatureRows(images), device: features.device);
        var merged = AtenOps.Embedding(rows, order).view(-1, 4 * width);
        return _projection2.Forward(nn.functional.gelu(_projection0.Forward(merged, dropout)), dropout);
    }
}

/// <summary>Where each image token's four features come from.</summary>
internal sealed class ImageTokenOrder(VisionConfig vision)
{
    private const int Merge = 2; // 2×2 neighbouring patches make a token

    /// <summary>
    /// Rows of the features of all crops, followed by the four of a row end and the four of the separator. Each image is its tiles as
    /// one grid, the separator, the global crop's grid; every grid row is closed by a row end.
    /// </summary>
    public long[] FeatureRows(IReadOnlyList<ImageCrops> images)
    {
        var order = new List<long>(images.Sum(image => image.TokenCount) * Merge * Merge);
        var rowEnd = images.Sum(image => image.Crops.shape[0]) * vision.PositionCount;
        long crop = 0;
        foreach (var image in images)
        {
            var firstTile = image.Crops.shape[0] == 1 ? crop : crop + 1; // a 1×1 image's only tile is its global crop
            AddGrid(firstTile, image.Rows, image.Columns);
            AddFour(rowEnd + Merge * Merge);
            AddGrid(crop, 1, 1);
            crop += image.Crops.shape[0];
        }
        return [.. order];

        void AddGrid(long firstCrop, int rows, int columns)
        {
            var side = vision.GridSize / Merge;
            for (var r = 0; r < rows * side; r++)
            {
                for (var c = 0; c < columns * side; c++) AddPatches(firstCrop + r / side * columns + c / side, r % side, c % side);
                AddFour(rowEnd);
            }
        }

        void AddPatches(long inCrop, int row, int column)
        {
            var topLeft = inCrop * vision.PositionCount + 1 + row * Merge * vision.GridSize + column * Merge; // 1: the class token
            order.AddRange(topLeft, topLeft + 1, topLeft + vision.GridSize, topLeft + vision.GridSize + 1);
        }

        void AddFour(long first) => order.AddRange(first, first + 1, first + 2, first + 3);
    }
}
