using System.Runtime.InteropServices;
using Phi3VCluster.Training.Native.Kernels;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

// Shapes: N sequences of one length, L their length, T rows of all, H heads, S head size.

/// <summary>
/// cuDNN's attention, on Hopper faster than the flash kernels that come with libtorch. It takes sequences of one length at a time, and has
/// to plan each shape anew, which takes as long as some hundreds of calls save: a shape is planned once it has come up that often, so that
/// plans never cost more than they have saved. libtorch keeps plans by thread.
/// </summary>
internal static unsafe class PlannedAttention
{
    /// <summary>What lengths are rounded up to, so that few shapes are planned: a tile's rows in the products around it.</summary>
    public const int Tile = 128;

    /// <summary>Compute capability 9, the only one on which it was timed.</summary>
    public const int LeastCapability = 9;

    /// <summary>Calls after which a shape is worth a plan.</summary>
    internal static int Patience { get; set; } = 500;

    private const int TensorsReturned = 7;

    private static readonly bool[] BackwardReturns = [true, true, true];

    private static readonly Lazy<nint> ForwardFunction = new(() => NativeLibrary.GetExport(
        NativeLibrary.GetMainProgramHandle(), "aoti_torch_cuda__scaled_dot_product_cudnn_attention"));

    [ThreadStatic]
    private static Dictionary<Shape, int>? _calls;

    private static bool _refused;

    /// <summary>Counts the call, too.</summary>
    /// <param name="multiple">Causal sequences of other lengths are not worth it: nearly each would be alone with its own.</param>
    public static bool IsWorthIt(Tensor q_THS, Tensor k_TKS, SequenceBounds bounds, bool causal, int multiple)
    {
        if (_refused || q_THS.shape[1] != k_TKS.shape[1]) return false;
        var all = true;
        foreach (var run in Runs(bounds))
        {
            if (causal && run.Length % multiple != 0) return false;
            var shape = new Shape(run.Count, run.Length, q_THS.shape[1], q_THS.shape[2], q_THS.stride()[0]);
            var calls = (_calls ??= []).GetValueOrDefault(shape);
            if (calls < Patience) _calls[shape] = calls + 1;
            all &= calls >= Patience;
        }
        return all;
    }

    public static Attended Attend(Tensor q_THS, Tensor k_THS, Tensor v_THS, SequenceBounds bounds, bool causal, double scale)
    {
        Run[] runs = [.. Runs(bounds)];
        Piece[] pieces;
        try
        {
            pieces = [.. runs.Select(run => Forward(run, q_THS, k_THS, v_THS, causal, scale))];
        }
        catch (Exception refusal) when (refusal is AtenException or EntryPointNotFoundException)
        {
            _refused = true; // this libtorch, cuDNN or card cannot; libtorch has said why
            return FlashAttention.Attend(q_THS, k_THS, v_THS, bounds, causal, scale);
        }
        var output_THS = Joined([.. pieces.Select(piece => piece.Output_NHLS)]);
        if (pieces.Length > 1)
            foreach (var piece in pieces) piece.Output_NHLS.Dispose(); // its place in the whole is the same
        return new(output_THS, [output_THS, .. pieces.SelectMany(piece => piece.Kept)], Back);

        (Tensor, Tensor, Tensor) Back(Tensor q, Tensor k, Tensor v, Tensor d_THS)
        {
            var all = runs.Zip(pieces, (run, piece) => Backward(run, piece, q, k, v, output_THS, d_THS, causal, scale)).ToList();
            return (Joined([.. all.Select(one => one[0])]), Joined([.. all.Select(one => one[1])]), Joined([.. all.Select(one => one[2])]));
        }
    }

    /// <summary>Not by the dispatcher: libtorch's C interface reads the types of mixed results in the wrong order.</summary>
    private static Piece Forward(Run run, Tensor q_THS, Tensor k_THS, Tensor v_THS, bool causal, double scale)
    {
        var call = (delegate* unmanaged<nint, nint, nint, nint*, int, double, int, int, double*, nint*, nint*, nint*, nint*, long*, long*,
            nint*, nint*, nint*, int>)ForwardFunction.Value;
        var (q, k, v) = (run.Of(q_THS), run.Of(k_THS), run.Of(v_THS));
        var all = stackalloc nint[TensorsReturned];
        long longestQuery, longestKey;
        var code = call(q.Handle, k.Handle, v.Handle, null, 1, 0, causal ? 1 : 0, 0, &scale, all, all + 1, all + 2, all + 3,
            &longestQuery, &longestKey, all + 4, all + 5, all + 6);
        if (code != 0) throw new AtenException("cuDNN's attention failed; libtorch's reason is on stderr.");
        var (output, logSumExp, nothing, seed, offset) = (Own(all[0]), Own(all[1]), Own(all[2]), Own(all[4]), Own(all[5]));
        Own(all[3]).Dispose();
        Own(all[6]).Dispose(); // the mask, for debugging
        return new(output, logSumExp, seed, offset, nothing);

        static Tensor Own(nint handle) => Tensor.UnsafeCreateTensor(handle);
    }

    private static Tensor[] Backward(
        Run run, Piece piece, Tensor q_THS, Tensor k_THS, Tensor v_THS, Tensor output_THS, Tensor d_THS, bool causal, double scale) =>
        Aten.CallForTensors("aten::_scaled_dot_product_cudnn_attention_backward", "", BackwardReturns, run.Of(d_THS), run.Of(q_THS),
            run.Of(k_THS), run.Of(v_THS), run.Of(output_THS), piece.LogSumExp, piece.Seed, piece.Offset, piece.Nothing, piece.Nothing,
            piece.Nothing, run.Length, run.Length, 0.0, causal, AtenValue.Optional(scale));

    /// <summary>Sequences of one length that follow each other.</summary>
    private static IEnumerable<Run> Runs(SequenceBounds bounds)
    {
        long start = 0, first = 0;
        for (var i = 1; i <= bounds.Lengths.Count; i++)
        {
            var length = bounds.Lengths[(int)first];
            if (i < bounds.Lengths.Count && bounds.Lengths[i] == length) continue;
            yield return new(start, i - first, length);
            (start, first) = (start + (i - first) * length, i);
        }
    }

    /// <summary>[N, H, L, S] each, laid out row by row, to [T, H, S].</summary>
    private static Tensor Joined(Tensor[] parts_NHLS)
    {
        Tensor[] rows = [.. parts_NHLS.Select(part => part.transpose(1, 2).flatten(0, 1))];
        return rows.Length == 1 ? rows[0] : cat(rows, 0);
    }

    private readonly record struct Shape(long Count, long Length, long Heads, long Size, long RowStride);

    /// <param name="Start">Row of the first.</param>
    private readonly record struct Run(long Start, long Count, long Length)
    {
        /// <summary>Its rows of [T, H, S] as [N, H, L, S]; nothing is copied.</summary>
        public Tensor Of(Tensor x_THS) =>
            x_THS.narrow(0, Start, Count * Length).view(Count, Length, x_THS.shape[1], x_THS.shape[2]).transpose(1, 2);
    }

    /// <param name="Seed">The state of a random generator, as <paramref name="Offset"/>, that backward wants back.</param>
    /// <param name="Nothing">An undefined tensor, for what backward takes but we do not have.</param>
    private sealed record Piece(Tensor Output_NHLS, Tensor LogSumExp, Tensor Seed, Tensor Offset, Tensor Nothing)
    {
        public IEnumerable<Tensor> Kept => [LogSumExp, Seed, Offset, Nothing];
    }
}
