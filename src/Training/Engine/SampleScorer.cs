using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Loss and scores of held-out samples. Answers are generated a group at a time, and which samples form a group does not depend on who
/// scores them: a sum's order, and with it the last bit of a logit, is the same for any number of ranks.
/// </summary>
/// <param name="measuresLoss">Whether losses are asked for.</param>
/// <param name="metrics">Over generated answers; with none nothing is generated.</param>
/// <param name="readers">Threads that read and encode ahead.</param>
internal sealed class SampleScorer(
    Phi3VModel model, ModelInputs inputs, Answerer answerer, SampleEncoder encoder, bool measuresLoss, IReadOnlyList<IMetric> metrics, int maxNewTokens,
    int readers = 1)
{
    private const int GroupSize = 8;

    public static int GroupCount(IDatasetReader data) => (data.Count + GroupSize - 1) / GroupSize;

    /// <summary>Scores some of the data's groups, reading ahead.</summary>
    /// <exception cref="OperationCanceledException">Between two tokens.</exception>
    public IEnumerable<ScoredSample> Score(IDatasetReader data, IEnumerable<int> groups, CancellationToken stop)
    {
        using var ahead = new Prefetcher<int, Group>(groups, group => Read(data, group), group => group.Bytes, threadCount: readers);
        while (ahead.Take() is { } group)
        {
            foreach (var sample in Score(group, stop)) yield return sample;
        }
    }

    private Group Read(IDatasetReader data, int group)
    {
        var first = group * GroupSize;
        return new([.. Enumerable.Range(first, Math.Min(GroupSize, data.Count - first)).Select(index =>
        {
            var sample = data.Read(index);
            var (labelled, prompt) = encoder.EncodeForScoring(sample);
            return new Question(index, labelled, prompt, sample.Turns[^1].Answers);
        })]);
    }

    private IEnumerable<ScoredSample> Score(Group group, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        double?[] losses = [.. group.Questions.Select(question => measuresLoss ? Loss(question.Labelled) : (double?)null)];
        var answers = metrics.Count == 0 ? null : answerer.Ask([.. group.Questions.Select(question => question.Prompt)], maxNewTokens, stop);
        return group.Questions.Select((question, i) =>
        {
            var prediction = answers?[i].Text;
            double[] scores = prediction is null ? [] : [.. metrics.Select(metric => metric.Score(prediction, question.Answers))];
            return new ScoredSample(question.Index, question.Prompt.Id, losses[i], prediction, question.Answers, scores);
        });
    }

    private double Loss(EncodedSample sample)
    {
        using var scope = NewDisposeScope();
        return model.Loss(inputs.For(sample));
    }

    private sealed record Question(int Index, EncodedSample Labelled, EncodedSample Prompt, IReadOnlyList<string> Answers);

    private sealed record Group(IReadOnlyList<Question> Questions)
    {
        public long Bytes => Questions.Sum(question => question.Labelled.Bytes); // the prompt's pictures are the same
    }
}

/// <param name="Index">Place in the data, from 0.</param>
/// <param name="Loss">Mean cross-entropy of the answer tokens; null where losses are not asked for.</param>
/// <param name="Prediction">Null where nothing was generated.</param>
/// <param name="Scores">One a metric.</param>
internal sealed record ScoredSample(
    int Index, string Id, double? Loss, string? Prediction, IReadOnlyList<string> Answers, IReadOnlyList<double> Scores);
