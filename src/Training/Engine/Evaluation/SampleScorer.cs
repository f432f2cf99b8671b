using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Loss and scores of held-out samples. Answers are generated a group at a time, and which samples form a group does not depend on who
/// scores them: ranks with as many threads sum in the same order, to the last bit of a logit, however many ranks there are.
/// </summary>
/// <param name="measuresLoss">Whether losses are asked for.</param>
/// <param name="metrics">Over generated answers; with none nothing is generated.</param>
/// <param name="readers">Threads that read and encode ahead.</param>
internal sealed class SampleScorer(
    Phi3VModel model, ModelInputs inputs, Answerer answerer, SampleEncoder encoder, bool measuresLoss, IReadOnlyList<IMetric> metrics,
    int maxNewTokens, int readers = 1)
{
    private const int GroupSize = 8;

    private int _done, _total; // passes: one for a sample's loss, one for its answer

    private int Passes => (measuresLoss ? 1 : 0) + (metrics.Count == 0 ? 0 : 1);

    public static int GroupCount(IDatasetReader data) => (data.Count + GroupSize - 1) / GroupSize;

    /// <summary>Scores some of the data's groups, reading ahead.</summary>
    /// <exception cref="OperationCanceledException">Between two layers.</exception>
    public IEnumerable<ScoredSample> Score(IDatasetReader data, IEnumerable<int> groups, CancellationToken stop)
    {
        int[] all = [.. groups];
        (_done, _total) = (0, Passes * all.Sum(group => Math.Min(GroupSize, data.Count - group * GroupSize)));
        using var ahead = new Prefetcher<int, Group>(all, group => Read(data, group), group => group.Bytes, threadCount: readers);
        while (ahead.Take(stop) is { } group)
        {
            foreach (var sample in Score(group, stop)) yield return sample;
            Activity.Report("passes", _done += (metrics.Count == 0 ? 0 : 1) * group.Questions.Count, _total);
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
        using var scope = NewDisposeScope();
        ModelInput[] labelled = [.. group.Questions.Select(question => inputs.WithTokens(question.Labelled, stop))];
        double?[] losses = [.. labelled.Select(input => measuresLoss ? Loss(input, stop) : (double?)null)];
        IEnumerable<ModelInput> prompts = group.Questions.Zip(labelled, (question, input) => PromptOf(question, input, stop));
        var answers = metrics.Count == 0 ? null : answerer.Ask([.. prompts], maxNewTokens, stop);
        return group.Questions.Select((question, i) =>
        {
            var prediction = answers?[i].Text;
            double[] scores = prediction is null ? [] : [.. metrics.Select(metric => metric.Score(prediction, question.Answers))];
            return new ScoredSample(question.Index, question.Prompt.Id, losses[i], prediction, question.Answers, scores)
            {
                FinishReason = answers?[i].FinishReason,
            };
        });
    }

    private double Loss(ModelInput input, CancellationToken stop)
    {
        Activity.Report("passes", _done, _total);
        var loss = model.Loss(input, stop);
        Activity.Report("passes", ++_done, _total);
        return loss;
    }

    /// <summary>Shows the same pictures as its labelled sample, as a rule: the vision model has seen them then.</summary>
    private ModelInput PromptOf(Question question, ModelInput labelled, CancellationToken stop) =>
        question.Prompt.Images.SequenceEqual(question.Labelled.Images)
            ? labelled with { Ids = question.Prompt.InputIds, Labels = null }
            : inputs.WithTokens(question.Prompt, stop);

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
    int Index, string Id, double? Loss, string? Prediction, IReadOnlyList<string> Answers, IReadOnlyList<double> Scores)
{
    /// <summary>stop: the prediction ended; length: it was cut. Null where nothing was generated.</summary>
    public string? FinishReason { get; init; }
}
