using System.Security.Cryptography;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// What the optimizer knows between two steps, of what a rank owns of the flat buffer: moments, float32 masters of 16-bit values, and how
/// often each group was updated. It is taken out and put back as <see cref="StateShard"/>s.
/// </summary>
public sealed class OptimizerState : IDisposable
{
    private const int LargestSpan = 1 << 30;

    private readonly FlatParameters _parameters;
    private readonly Tensor? _masters;

    /// <param name="parameters">Hold their start; must outlive the state.</param>
    /// <param name="layout">What this rank owns.</param>
    public OptimizerState(FlatParameters parameters, ShardLayout layout)
    {
        (_parameters, Layout) = (parameters, layout);
        var device = parameters.Values.device;
        FirstMoments = zeros(layout.OwnCount, ScalarType.Float32, device).DetachFromDisposeScope();
        SecondMoments = zeros(layout.OwnCount, ScalarType.Float32, device).DetachFromDisposeScope();
        if (parameters.Values.dtype != ScalarType.Float32)
        {
            _masters = empty(layout.OwnCount, ScalarType.Float32, device).DetachFromDisposeScope();
            EachPiece((piece, flat) => MastersOf(piece).copy_(flat));
        }
        StepCounts = new long[OptimizerGroup.AllOf(parameters).Count()];
    }

    public ShardLayout Layout { get; }

    /// <summary>m, [own elements] float32.</summary>
    public Tensor FirstMoments { get; }

    /// <summary>v, [own elements] float32.</summary>
    public Tensor SecondMoments { get; }

    /// <summary>
    /// Steps done by each group of tensors, t of the bias correction, in the order of the groups' first tensors: what only images train is
    /// left out of some. The same groups on every rank.
    /// </summary>
    public long[] StepCounts { get; }

    /// <summary>Whether float32 masters are kept beside 16-bit values.</summary>
    public bool HasMasters => _masters is not null;

    /// <summary>Bytes held: moments and masters.</summary>
    public long SizeBytes => (HasMasters ? 3 : 2) * Layout.OwnCount * sizeof(float);

    /// <summary>This rank's float32 values of a piece: its masters, or the values themselves where they are float32. A view.</summary>
    public Tensor Master(OwnRange range)
    {
        if (_masters is null) return _parameters.Values.narrow(0, range.Flat.Offset, range.Flat.Count);
        var local = range.Local;
        return _masters.narrow(0, local.Offset, local.Count);
    }

    /// <summary>Rebuilds this rank's values, which are the rounding of its masters.</summary>
    public void StoreMasters()
    {
        if (_masters is null) return;
        using var quiet = no_grad();
        EachPiece((piece, flat) => flat.copy_(MastersOf(piece)));
    }

    /// <summary>All ranks' float32 values, [parameters.Count], for whoever writes them down. All ranks call it together.</summary>
    /// <param name="allGather">Fills a 1-D buffer with every rank's own part of it.</param>
    public Tensor GatherMasters(Action<Tensor> allGather)
    {
        using var quiet = no_grad();
        if (_masters is null) return _parameters.Values.alias();
        using var scope = NewDisposeScope();
        var all = empty(_parameters.Count, ScalarType.Float32, _parameters.Values.device);
        foreach (var (bucket, piece) in Layout.Buckets.Zip(Layout.Pieces))
        {
            all.narrow(0, piece.Flat.Offset, piece.Flat.Count).copy_(MastersOf(piece));
            allGather(all.narrow(0, bucket.Offset, bucket.Count));
        }
        return all.MoveToOuterDisposeScope();
    }

    /// <summary>Copies of what this rank owns, in host memory; one a piece. The caller disposes them.</summary>
    public IReadOnlyList<StateShard> Copy()
    {
        using var quiet = no_grad();
        return [.. Layout.Pieces.Where(piece => piece.Flat.Count > 0).Select(piece => new StateShard(piece.Flat,
            HostCopy(Master(new(piece, piece.Flat))), HostCopy(Own(FirstMoments, piece)), HostCopy(Own(SecondMoments, piece))))];
    }

    /// <summary>Masters, m and v of what this rank owns, piece behind piece, into host memory.</summary>
    /// <param name="host">[3, own elements], float32.</param>
    public void CopyTo(Tensor host)
    {
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        var masters = host[0];
        foreach (var piece in Layout.Pieces.Where(piece => piece.Flat.Count > 0))
            masters.narrow(0, piece.LocalOffset, piece.Flat.Count).copy_(Master(new(piece, piece.Flat)));
        host[1].copy_(FirstMoments);
        host[2].copy_(SecondMoments);
    }

    /// <summary>
    /// Where what <see cref="CopyTo"/> copies lies in host memory, in its order, for threads that use no tensors; null where it is on a
    /// device.
    /// </summary>
    public IReadOnlyList<HostSpan>? InHostMemory()
    {
        if (FirstMoments.device.type != DeviceType.CPU) return null;
        using var scope = NewDisposeScope();
        var masters = Layout.Pieces.Where(piece => piece.Flat.Count > 0).Select(piece => Master(new(piece, piece.Flat)));
        return [.. masters.Append(FirstMoments).Append(SecondMoments).Where(part => part.numel() > 0)
            .Select(part => new HostSpan(TensorMemory.Pointer(part), part.numel() * sizeof(float)))];
    }

    /// <summary>Of everything that this rank owns, to the last bit.</summary>
    public unsafe byte[] Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var scope = NewDisposeScope();
        foreach (var part in (Tensor[])[_masters ?? _parameters.Values, FirstMoments, SecondMoments])
        {
            var host = part.cpu(); // itself, where it is there
            var data = (byte*)TensorMemory.Pointer(host);
            var bytes = host.numel() * sizeof(float);
            for (long done = 0; done < bytes; done += LargestSpan)
                hash.AppendData(new ReadOnlySpan<byte>(data + done, (int)Math.Min(LargestSpan, bytes - done)));
        }
        return hash.GetCurrentHash();
    }

    /// <summary>Takes over what a shard has of this rank's; afterwards <see cref="StoreMasters"/>, once.</summary>
    public void Restore(StateShard shard)
    {
        using var quiet = no_grad();
        foreach (var piece in Layout.Pieces)
        {
            var (start, end) = (Math.Max(piece.Flat.Offset, shard.Flat.Offset), Math.Min(piece.Flat.End, shard.Flat.End));
            if (start >= end) continue;
            using var scope = NewDisposeScope();
            var (flat, from) = (new ShardRange(start, end - start), start - shard.Flat.Offset);
            var local = piece.Local(flat);
            Master(new(piece, flat)).copy_(shard.Masters.narrow(0, from, flat.Count));
            FirstMoments.narrow(0, local.Offset, local.Count).copy_(shard.FirstMoments.narrow(0, from, flat.Count));
            SecondMoments.narrow(0, local.Offset, local.Count).copy_(shard.SecondMoments.narrow(0, from, flat.Count));
        }
    }

    public void Dispose()
    {
        _masters?.Dispose();
        SecondMoments.Dispose();
        FirstMoments.Dispose();
    }

    private static Tensor Own(Tensor buffer, ShardPiece piece) => buffer.narrow(0, piece.LocalOffset, piece.Flat.Count);

    private Tensor MastersOf(ShardPiece piece) => Own(_masters!, piece);

    private static Tensor HostCopy(Tensor view)
    {
        using (view)
        {
            var copy = empty(view.shape, view.dtype).DetachFromDisposeScope();
            copy.copy_(view);
            return copy;
        }
    }

    private void EachPiece(Action<ShardPiece, Tensor> what)
    {
        using var quiet = no_grad();
        foreach (var piece in Layout.Pieces.Where(piece => piece.Flat.Count > 0))
        {
            using var scope = NewDisposeScope();
            what(piece, _parameters.Values.narrow(0, piece.Flat.Offset, piece.Flat.Count));
        }
    }
}
