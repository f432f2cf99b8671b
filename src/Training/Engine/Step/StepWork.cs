using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a rank did for a step: its samples, its part of the loss, and the fault that it will vote with.</summary>
internal sealed class StepWork
{
    private readonly List<string> _nonFinite = [];

    /// <summary>This rank's samples of the global batch; an epoch's last batch may have none for it.</summary>
    public IReadOnlyList<EncodedSample> Share { get; set; } = [];

    /// <summary>This rank's part of the global batch's loss.</summary>
    public double Loss { get; private set; }

    /// <summary>The first thing that went wrong.</summary>
    public Exception? Fault { get; private set; }

    /// <summary>Ids of samples whose loss is not finite.</summary>
    public IReadOnlyList<string> NonFinite => _nonFinite;

    public long Images => Share.Sum(sample => (long)sample.Images.Count);
    public long Crops => Share.Sum(sample => sample.Images.Sum(image => (long)image.CropCount));
    public long Tokens => Share.Sum(sample => (long)sample.InputIds.Length);

    /// <summary>Adds a sample that a pass has been over.</summary>
    /// <param name="loss">Its mean cross-entropy.</param>
    /// <param name="weight">One of <see cref="LossWeights"/>.</param>
    public void Add(EncodedSample sample, double loss, double weight)
    {
        Loss += loss * weight;
        if (!double.IsFinite(loss)) _nonFinite.Add(sample.Id);
    }

    /// <summary>
    /// Runs a part of the step unless an earlier part failed; keeps what it throws. Aborts pass through: nobody votes then.
    /// </summary>
    public void Guard(Action part)
    {
        if (Fault is not null) return;
        try
        {
            part();
        }
        catch (Exception error) when (error is not (CollectiveException or OperationCanceledException))
        {
            Fault = error;
        }
    }
}
