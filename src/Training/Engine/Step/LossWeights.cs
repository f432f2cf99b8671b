using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>How much each sample's mean loss counts, so that the sum over all ranks is the loss of the global batch.</summary>
internal static class LossWeights
{
    /// <param name="normalisation">"sample": every sample counts alike. "token": every answer token does.</param>
    /// <returns>One weight a sample of <paramref name="share"/>.</returns>
    public static double[] Of(string normalisation, IReadOnlyList<EncodedSample> share, int batchSize, ICollective collective)
    {
        if (normalisation == "sample") return [.. share.Select(_ => 1.0 / batchSize)];
        var supervised = share.Select(SupervisedCount).ToArray();
        using var total = tensor([(float)supervised.Sum()]);
        collective.AllReduce(total); // ranks with short answers must not weigh more than others
        var tokens = (double)total.data<float>()[0];
        return [.. supervised.Select(count => count / tokens)];
    }

    /// <summary>Positions whose next label is supervised: the first label has no position that predicts it.</summary>
    private static int SupervisedCount(EncodedSample sample) => sample.Labels.Skip(1).Count(label => label >= 0);
}
