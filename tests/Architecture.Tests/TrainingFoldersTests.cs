using System.Text.RegularExpressions;

namespace Phi3VCluster.Architecture.Tests;

public sealed partial class TrainingFoldersTests
{
    private static readonly SourceFile Decoder = new(
        TrainingFolders.Folder + "Model/Decoder.cs", "namespace Phi3VCluster.Training.Model;\npublic sealed class Decoder;");

    private static readonly IReadOnlyList<SourceFile> Training = [.. Repository.CSharpFiles(TrainingFolders.Folder)];

    [Fact]
    public void The_folders_of_Training_do_not_see_each_other() => Problems.None(
        TrainingFolders.Mentions(Training),
        "Only Engine composes the folders of src/Training; hand over what is needed through a root type:");

    [Fact]
    public void A_file_of_Training_has_its_folder_for_a_namespace()
    {
        Assert.NotEmpty(Training);
        Problems.None(TrainingFolders.Misplaced(Training), "Move the file or change its namespace:");
    }

    [Fact]
    public void Training_never_waits_asynchronously() => Problems.None(
        Training.SelectMany(file => file.MatchesInCode(AsyncCode())),
        "TorchSharp's dispose scopes and last error belong to a thread, so nothing in src/Training may move to another one:");

    [Theory]
    [InlineData("Data/A.cs", "using Phi3VCluster.Training.Model;")]
    [InlineData("Data/A.cs", "using Phi3VCluster.Training.Engine;")]
    [InlineData("Native/A.cs", "using static Phi3VCluster.Training.Model.Decoder;")]
    [InlineData("A.cs", "global using Phi3VCluster.Training.Model;")]
    [InlineData("Data/A.cs", "var d = new Training.Model.Decoder();")]
    [InlineData("Data/A.cs", "var d = new Model.Decoder();")]
    public void A_mention_of_a_folder_behind_a_wall_is_found(string path, string line)
    {
        SourceFile engine = new(TrainingFolders.Folder + "Engine/Trainer.cs", "using Phi3VCluster.Training.Model;\nnew Model.Decoder();");
        SourceFile file = new(TrainingFolders.Folder + path, $"// first line\n{line}");

        Assert.StartsWith($"{file.Path}:2: ", Assert.Single(TrainingFolders.Mentions([Decoder, engine, file])));
    }

    [Theory]
    [InlineData("using Phi3VCluster.Training.Native;")]
    [InlineData("spec.Model.Decoder = true;")]
    [InlineData("Model.Path = path;")]
    [InlineData("// Phi3VCluster.Training.Model is elsewhere")]
    [InlineData("""Log("Training.Model");""")]
    public void Words_that_only_look_like_a_folder_are_not(string line)
    {
        SourceFile file = new(TrainingFolders.Folder + "Data/A.cs", line);

        Assert.Empty(TrainingFolders.Mentions([Decoder, file]));
    }

    [Fact]
    public void A_file_in_the_wrong_namespace_is_found()
    {
        SourceFile file = new(TrainingFolders.Folder + "Data/A.cs", "namespace Phi3VCluster.Training.Model;");
        Assert.Contains("should be Phi3VCluster.Training.Data", Assert.Single(TrainingFolders.Misplaced([file])));
    }

    [GeneratedRegex(@"\b(?:async|await)\b")]
    private static partial Regex AsyncCode();
}
