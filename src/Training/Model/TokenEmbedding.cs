using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>Ids and image tokens → the decoder's input [L, hidden], and the way back.</summary>
/// <param name="paddingId">Its row takes no gradient, as in the original, even where the id ends an answer.</param>
internal sealed class TokenEmbedding(Tensor weight_VD, long? paddingId)
{
    public bool IsTrained => weight_VD.requires_grad;

    /// <summary>Bytes of a value, here and in everything that follows from it.</summary>
    public long ElementSize => weight_VD.ElementSize;

    /// <param name="imageTokens">Of all images, one behind the other, [T, hidden]; null where there are none.</param>
    /// <returns>[L, hidden], without a graph: <see cref="Backward"/> is the way back.</returns>
    /// <exception cref="ArgumentException">The ids hold more or fewer image places than there are image tokens.</exception>
    public Tensor Forward(SequenceLayout layout, Tensor? imageTokens)
    {
        if (layout.ImageTokenCount != (imageTokens?.shape[0] ?? 0))
        {
            throw new ArgumentException(
                $"the ids have {layout.ImageTokenCount} places for image tokens, the images make {imageTokens?.shape[0] ?? 0}");
        }
        using var _ = no_grad();
        var x = AtenOps.Embedding(weight_VD, tensor(layout.LookupIds, device: weight_VD.device));
        long done = 0;
        foreach (var (start, count) in layout.ImageRuns)
        {
            x.narrow(0, start, count).copy_(imageTokens!.narrow(0, done, count));
            done += count;
        }
        return x;
    }

    /// <summary>Adds the rows' gradients to the weight's grad: no gradient as large as the vocabulary is made on the way.</summary>
    public void Backward(SequenceLayout layout, Tensor gradient_LD)
    {
        using var _ = no_grad();
        var sum = weight_VD.grad ?? (weight_VD.grad = zeros_like(weight_VD));
        var (positions, ids) = layout.TextExcept(paddingId);
        var rows = gradient_LD.index_select(0, tensor(positions, device: sum.device)).to_type(sum.dtype);
        sum.AccumulateRows(tensor(ids, device: sum.device), rows);
    }
}

/// <summary>Where text and image tokens stand in a sequence of ids.</summary>
internal sealed class SequenceLayout
{
    private readonly long[] _ids;

    /// <param name="ids">A negative one is an image token's place.</param>
    public SequenceLayout(long[] ids)
    {
        _ids = ids;
        for (var i = 0; i < ids.Length; i++)
        {
            if (ids[i] >= 0) continue;
            var start = i;
            while (i + 1 < ids.Length && ids[i + 1] < 0) i++;
            ImageRuns.Add((start, i + 1 - start));
        }
    }

    /// <summary>Unbroken runs of image places.</summary>
    public List<(long Start, long Count)> ImageRuns { get; } = [];

    public long ImageTokenCount => ImageRuns.Sum(run => run.Count);

    /// <summary>The ids, with some valid id in the image places.</summary>
    public long[] LookupIds => ImageRuns.Count == 0 ? _ids : Array.ConvertAll(_ids, id => Math.Max(id, 0));

    /// <summary>Positions of text, and the ids there, but for one id.</summary>
    public (long[] Positions, long[] Ids) TextExcept(long? id)
    {
        var positions = Enumerable.Range(0, _ids.Length).Where(i => _ids[i] >= 0 && _ids[i] != id).Select(i => (long)i).ToArray();
        return (positions, Array.ConvertAll(positions, i => _ids[i]));
    }

    /// <summary>The image places' rows of [L, D], in order.</summary>
    public Tensor ImageRows(Tensor x_LD) => ImageRuns.Count == 1
        ? x_LD.narrow(0, ImageRuns[0].Start, ImageRuns[0].Count)
        : cat([.. ImageRuns.Select(run => x_LD.narrow(0, run.Start, run.Count))], 0);
}
