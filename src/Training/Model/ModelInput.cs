using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>One sequence for the model.</summary>
/// <param name="Ids">Token ids; a negative id is an image token's place. All such places in order take the image tokens in order.</param>
/// <param name="Labels">Same length: −100 where nothing is to be predicted. Null where no loss is asked for.</param>
/// <param name="Images">In the order of their places.</param>
public sealed record ModelInput(long[] Ids, long[]? Labels, IReadOnlyList<ImageCrops> Images)
{
    /// <summary>
    /// The image tokens of all images [T, hidden], where they are known already: then the images are not looked at.
    /// </summary>
    public Tensor? ImageTokens { get; init; }

    /// <summary>Decides what adapters drop of this sequence; null drops nothing.</summary>
    public ulong? DropoutSeed { get; init; }

    /// <summary>Label of a position that is not supervised.</summary>
    public const long Ignored = -100;

    /// <summary>Positions whose next label is supervised: the rows of logits that the loss needs.</summary>
    /// <exception cref="ArgumentException">There are no labels, or not one for each id.</exception>
    internal long[] SupervisedRows()
    {
        if (Labels is null || Labels.Length != Ids.Length) throw new ArgumentException("a loss needs one label for each id");
        var rows = new List<long>();
        for (var i = 1; i < Labels.Length; i++)
        {
            if (Labels[i] != Ignored) rows.Add(i - 1);
        }
        return [.. rows];
    }

    /// <summary>The labels that <paramref name="rows"/> are to predict.</summary>
    internal long[] LabelsAfter(long[] rows) => Array.ConvertAll(rows, row => Labels![row + 1]);
}

/// <summary>An image as the tower takes it.</summary>
/// <param name="Crops">[n, 3, 336, 336] float32: the global crop, then the tiles row by row; a 1×1 image's global crop alone.</param>
/// <param name="Rows">Tiles from top to bottom.</param>
/// <param name="Columns">Tiles from left to right.</param>
public sealed record ImageCrops(Tensor Crops, int Rows, int Columns)
{
    /// <summary>Image tokens the model makes of it.</summary>
    public int TokenCount => (Rows * Columns + 1) * 144 + 1 + (Rows + 1) * 12;
}
