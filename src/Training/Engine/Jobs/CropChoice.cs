using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Most crops of an image: as asked, else as the adapter was trained, else as the checkpoint says.</summary>
/// <param name="Notes">Told where what is used is not what the adapter was trained with, or not what the checkpoint says.</param>
internal sealed record CropChoice(int Count, IReadOnlyList<string> Notes)
{
    /// <exception cref="Spec.InputException">A preprocessor_config.json is unsound.</exception>
    public static CropChoice Of(AskJob job)
    {
        var ofModel = job.NumCrops is null ? ProcessorConfig.NumCrops(job.Model) : 0;
        if (job.Adapter is not { } folder || ProcessorConfig.CropsOf(folder) is not { } trained) return new(job.NumCrops ?? ofModel, []);
        if (job.NumCrops is { } asked)
            return new(asked, asked == trained ? [] :
                [$"--num-crops: {folder} was trained with {trained}, got {asked}; leave it out to use {trained}."]);
        return new(trained, trained == ofModel ? [] :
            [$"{folder} was trained with {trained} crops an image, {job.Model} says {ofModel}; "
                + $"{trained} are used, --num-crops sets others."]);
    }
}
