using System.Globalization;
using Phi3VCluster.Spec;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>One rank's ranges in a checkpoint: a safetensors file whose tensors are named by what they are and where they begin.</summary>
internal static class ShardFile
{
    private const string Masters = "masters", FirstMoments = "first_moments", SecondMoments = "second_moments";

    public static string NameOf(int rank, int worldSize) =>
        string.Create(CultureInfo.InvariantCulture, $"state-{rank + 1:D5}-of-{worldSize:D5}.safetensors");

    public static void Write(string path, IReadOnlyList<StateShard> shards) => SafeTensorsWriter.Write(path, shards.SelectMany(shard =>
        ((string, Tensor)[])
        [
            (Name(Masters, shard), shard.Masters),
            (Name(FirstMoments, shard), shard.FirstMoments),
            (Name(SecondMoments, shard), shard.SecondMoments),
        ]));

    /// <summary>The shards of a file, each where it lies: to be read only while the file is open.</summary>
    public static IEnumerable<StateShard> Read(SafeTensorsFile file)
    {
        foreach (var name in file.Names.Where(name => name.StartsWith(Masters + ".", StringComparison.Ordinal)))
        {
            var start = name[(Masters.Length + 1)..];
            yield return new(new(long.Parse(start, CultureInfo.InvariantCulture), file.Info(name).ElementCount),
                file.View(name), file.View($"{FirstMoments}.{start}"), file.View($"{SecondMoments}.{start}"));
        }
    }

    private static string Name(string kind, StateShard shard) => string.Create(CultureInfo.InvariantCulture, $"{kind}.{shard.Flat.Offset}");
}
